"""Names that no definition gives, as nodes of the graph: what needs them, and through what."""

from __future__ import annotations

from collections.abc import Iterable

from dag.core.graph.edges import Edge
from dag.core.graph.graph import Graph
from dag.core.package.model import Package
from dag.errors import UsageError


def external_edges(graph: Graph, name: str) -> list[Edge]:
    """Return the needs of definitions that are for a name which must be found elsewhere."""
    if name in graph or name in graph.broken:
        return []
    asking = (one for one in graph.packages if any(need.name == name for need in one.environment))
    edges = (edge for one in asking for edge in graph.needs(one.name))
    return [edge for edge in edges if not edge.is_ours and edge.need.name == name]


def split_words(graph: Graph, words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return those of some words that stand for packages, and those that are external names.

    Raises:
        UsageError: there is a word that is neither.

    """
    known: list[str] = []
    externals: list[str] = []
    unknown: list[str] = []
    for word in words:
        try:
            graph.order([word])
        except UsageError:
            (externals if external_edges(graph, word) else unknown).append(word)
        else:
            known.append(word)
    graph.order(unknown)  # which says what was most likely meant
    return known, externals


def dependents(graph: Graph, words: Iterable[str]) -> list[Package]:
    """Return the packages that words stand for and all that need them, dependencies first.

    A word may be an external name; of that it is what needs it.

    Raises:
        UsageError: a name is not in the graph.

    """
    known, externals = split_words(graph, words)
    users = (edge.package for name in externals for edge in external_edges(graph, name))
    return graph.dependents(dict.fromkeys([*known, *users]))


def path_to(graph: Graph, start: str, goal: str) -> list[Edge] | None:
    """Return a shortest chain of needs to a package, or to an external name, or None.

    From a package to itself it is a cycle.

    Raises:
        UsageError: a name is not in the graph.

    """
    last = {edge.package: edge for edge in reversed(external_edges(graph, goal))}
    if not last:
        return graph.path(start, goal)
    (first,) = graph.order([start])
    if first.name in last:
        return [last[first.name]]
    way = graph.path(start, *last)
    return None if way is None else [*way, last[way[-1].origin]]
