r"""The escapes in double quotes that yaml.v3, with which melange reads, and libyaml do not both know.

https://github.com/go-yaml/yaml/blob/v3.0.1/scannerc.go knows `\'` and does not know `\/`; libyaml
does the contrary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from dag.core.package.problems import Broken

UNKNOWN = "found unknown escape character"
"""What libyaml says of an escape that it does not know."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class _Scanner(yaml.SafeLoader):
    ESCAPE_REPLACEMENTS = {**yaml.SafeLoader.ESCAPE_REPLACEMENTS, "'": "'"}  # type: ignore[misc]  # noqa: RUF012


def without_quote_escapes(data: bytes) -> bytes:
    r"""Return a text that says the same as `data`, with `'` in the place of each escape `\'`.

    Only PyYAML's own scanner can be taught the escape, and it is slow. So that only finds the places.

    Raises:
        yaml.YAMLError: it cannot be read.

    """
    text = _text_with(b"\\'", data)
    if not text:
        return data
    done, parts = 0, []
    for begin, end in _quoted(text):
        shorter = _ESCAPE.sub(lambda one: "'" if one[1] == "'" else one[0], text[begin:end])
        parts += [text[done:begin], shorter]
        done = end
    return "".join([*parts, text[done:]]).encode()


def _text_with(escape: bytes, data: bytes) -> str:
    """Return the text, as marks count in it, if it may have an escape; else nothing."""
    if escape in data:
        with suppress(UnicodeDecodeError):  # UTF-16
            return data.decode("utf-8-sig")
    return ""


def _quoted(text: str) -> Iterator[tuple[int, int]]:
    for token in yaml.scan(text, Loader=_Scanner):
        if isinstance(token, yaml.ScalarToken) and token.style == '"':
            yield token.start_mark.index, token.end_mark.index


def refuse_slash_escapes(data: bytes, root: Node | None) -> None:
    r"""Refuse the escape `\/`; `root` has the nodes of `data`.

    Raises:
        Broken: a text has it.

    """
    text = _text_with(b"\\/", data)
    for node in scalars(root) if root and text else ():
        if node.style == '"' and node.end_mark is not None:
            for escape in _ESCAPE.finditer(text, node.start_mark.index, node.end_mark.index):
                if escape[1] == "/":
                    line = node.start_mark.line + 1
                    line += text.count("\n", node.start_mark.index, escape.start())
                    what = r"broken YAML: melange knows no escape \/ in double quotes"
                    raise Broken(line, what, "write / without the backslash")


def scalars(root: Node) -> Iterator[ScalarNode]:
    """Yield each scalar of a document once, keys among them."""
    stack = [root]
    seen: set[int] = set()  # aliases make one node the child of many
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ScalarNode):
            yield node
        elif isinstance(node, MappingNode):
            stack += [one for pair in node.value for one in pair]
        elif isinstance(node, CollectionNode):
            stack += node.value
