"""A definition with other repositories and keys in the place of those that it names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dag.core.package.model import Named
from dag.core.package.problems import Broken
from dag.core.package.yaml import compose_marked

_REPOSITORIES = ("build_repositories", "repositories")


class Unchangeable(ValueError):
    """A definition that cannot be changed in this way; the message says why."""


def replace_named(
    data: bytes,
    repositories: Iterable[Named],
    keys: Iterable[Named],
    replace_repository: Callable[[str], str],
    replace_key: Callable[[str], str],
) -> bytes:
    """Return the text of a definition with each repository and key replaced.

    `repositories` and `keys` are what it names itself, as it was read: with its variables resolved.

    Raises:
        Unchangeable: what the text names is not what was read.

    """
    try:
        root, data = compose_marked(data)
        text = data.decode("utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8")
    except (Broken, UnicodeDecodeError):
        raise Unchangeable("it cannot be read") from None
    contents = _entries(_entries(_entries(root).get("environment")).get("contents"))
    nodes = [node for field in _REPOSITORIES for node in _scalars(contents.get(field))]
    changes = dict(_changes(nodes, repositories, replace_repository))
    changes |= _changes(list(_scalars(contents.get("keyring"))), keys, replace_key)
    for (begin, end), new in sorted(changes.items(), reverse=True):
        text = text[:begin] + new + text[end:]
    return text.encode()


def _changes(
    nodes: list[ScalarNode], named: Iterable[Named], replace: Callable[[str], str]
) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield spans of the text and what takes their place."""
    texts = [one.text for one in named]
    if len(texts) != len(nodes):
        raise Unchangeable("its repositories and keys are not written one by one")
    for node, text in zip(nodes, texts, strict=True):
        new = replace(text)
        if new != node.value:
            if node.end_mark is None or node.style in ("|", ">"):
                raise Unchangeable(f"line {node.start_mark.line + 1} cannot be replaced")
            yield (node.start_mark.index, node.end_mark.index), json.dumps(new)


def _entries(node: Node | None) -> Mapping[str, Node]:
    if node is None:
        return {}
    if not isinstance(node, MappingNode) or any(key.value == "<<" for key, _ in node.value):
        raise Unchangeable("its environment is merged from elsewhere")
    return {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}


def _scalars(node: Node | None) -> Iterator[ScalarNode]:
    if isinstance(node, SequenceNode):
        yield from (one for one in node.value if isinstance(one, ScalarNode) and one.value)
