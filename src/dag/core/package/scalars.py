"""What yaml.v3, with which melange reads, takes a scalar for: a number, nothing, or a text.

https://github.com/go-yaml/yaml/blob/v3.0.1/resolve.go
"""

from __future__ import annotations

import binascii
import math
import re

from yaml.nodes import Node, ScalarNode

from dag.core.package.escapes import scalars
from dag.core.package.problems import Broken

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[+-]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
DIRECTIVES = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\n\r]*)?[\n\r])*%")
"""What a document begins with that says which YAML it is, or has short forms of tags."""
_TAGS = re.compile(rb"![!<]")
"""How tags of YAML's own are written where no short form was made for them."""
_LONGEST = 1000
"""How many characters a number may have."""


def number_in(text: str) -> int | float | None:
    """Return the number that a text without quotes is; None if it is none."""
    if text[:1] == "_":
        return None
    plain = text if text[:1] == "." else text.replace("_", "")
    if len(plain) > _LONGEST:
        return None
    if whole := _INTEGER.fullmatch(plain):
        sign, *digits = whole.groups()
        value = next(
            int(found, base) for found, base in zip(digits, (16, 2, 8, 10), strict=True) if found
        )
        if value < 2**63 or (value < 2**64 and not sign) or (value == 2**63 and sign == "-"):
            return -value if sign == "-" else value
    if _FLOAT.fullmatch(plain):
        number = float(plain)
        return number if math.isfinite(number) else None
    return None


def number_of(node: ScalarNode) -> int | float | None:
    """Return the number that a scalar is; None for a text, as one in quotes is."""
    if type(node.tag) is str:
        return number_in(node.value) if node.tag in (f"{_TAG}int", f"{_TAG}float") else None
    return None if node.style else number_in(node.value)


def apply_tags(data: bytes, root: Node | None) -> Node | None:
    """Return the nodes of `data` after making of each scalar what a tag of YAML's own says.

    Raises:
        Broken: it cannot be what its tag says.

    """
    if root is None or not (_TAGS.search(data) or DIRECTIVES.match(data)):
        return root
    for node in scalars(root):
        if type(node.tag) is str and node.tag.startswith(_TAG):
            _apply_tag(node, node.tag.removeprefix(_TAG))
    return root


def _apply_tag(node: ScalarNode, tag: str) -> None:
    text = node.value
    if tag == "binary":
        try:
            data = re.sub(r"[\r\n]", "", text).encode()
            node.value = binascii.a2b_base64(data, strict_mode=True).decode()
        except ValueError:
            raise _wrong_tag(node, tag) from None
        return
    kind = _kind_of(text)
    if tag in ("null", "bool", "int", "float") and kind != tag and (tag, kind) != ("float", "int"):
        raise _wrong_tag(node, tag)
    if tag == "null":
        node.value, node.style = "", None
        node.tag = None  # type: ignore[assignment]  # a tag means a value


def _kind_of(text: str) -> str:
    """Return the tag that yaml.v3 finds for a text; "str" for what is none of those that matter."""
    if text in NULLS:
        return "null"
    if text in _BOOLEANS:
        return "bool"
    match number_in(text):
        case int():
            return "int"
        case float():
            return "float"
        case _:
            return "float" if _INFINITE.fullmatch(text) else "str"


def _wrong_tag(node: ScalarNode, tag: str) -> Broken:
    what = f"broken YAML: {node.value[:40]!r} is not what its tag !!{tag} says"
    return Broken(node.start_mark.line + 1, what, "correct it, or remove the tag")
