"""Which YAML documents are definitions, by their shape: other programs have files with packages, too."""

from __future__ import annotations

from typing import TypeGuard

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dag.core.package.yaml import is_merge, is_null


def may_define(node: Node | None) -> TypeGuard[MappingNode]:
    """Return whether the document is a mapping with a package, or merges what may have one."""
    return isinstance(node, MappingNode) and any(
        is_merge(key) or (key.value == "package" and not is_other(value))
        for key, value in node.value
    )


def is_other(package: Node) -> bool:
    """Return whether this is what files of other programs call a package: a text or a list."""
    return isinstance(package, SequenceNode) or (
        isinstance(package, ScalarNode) and not is_null(package)
    )
