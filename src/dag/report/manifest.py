"""Writes Kubernetes objects as YAML that every reader understands alike."""

from __future__ import annotations

import re
from typing import Any

import yaml

# kubectl reads YAML 1.2 with some of 1.1: plain words that neither could take for something else.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@:-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class _Dumper(yaml.SafeDumper):
    """Quotes whatever is not plainly a string, writes scripts as blocks, and each part in full."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if "\n" in text:
        style = "|"
    elif _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        style = ""
    else:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def to_yaml(manifest: dict[str, Any]) -> str:
    """Return one object as YAML; who loads it gets the same object."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
