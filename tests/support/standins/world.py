"""What the stand-ins share: what a call is, what it finds and changes, and how it fails."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

World = dict[str, Any]
"""What the calls have made, so that one call finds what another has made."""


@dataclass(frozen=True)
class Call:
    """One call: its words, its standard input, and where it was made."""

    argv: tuple[str, ...]
    stdin: str
    directory: Path = field(compare=False)
    kubeconfig: str = field(compare=False)
    """What the call's `$KUBECONFIG` names."""
    cluster: str = field(compare=False)
    """The kubeconfig of a real cluster, from `$STANDIN_KUBECONFIG`."""

    def __str__(self) -> str:
        return " ".join(self.argv)

    def is_question(self) -> bool:
        """Return whether it only asks, and changes nothing."""
        words = {"describe", "list", "get-iam-policy", "get-value", "get", "inspect", "cat"}
        return not words.isdisjoint(self.argv[:6])

    def write_credentials(self, context: str) -> None:
        """Write the kubeconfig of the real cluster under the name of this cluster."""
        config = yaml.safe_load(Path(self.cluster).read_text())
        config["contexts"][0]["name"] = config["current-context"] = context
        Path(self.kubeconfig).write_text(json.dumps(config))


class Failure(Exception):
    """The call fails, as that of the real program does, with these words."""


def fail(text: str) -> NoReturn:
    """End the call as the real program does when it fails."""
    raise Failure(text)
