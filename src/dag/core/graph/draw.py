"""The graph as text: one line a package, or Graphviz's dot."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum

from dag.core.arch import Arch
from dag.core.graph.graph import Edge, Graph
from dag.core.package.makefile import NO_MAKEFILE, Makefile
from dag.core.package.model import Package


class Kind(StrEnum):
    """The forms of a line about a package."""

    TARGET = "target"
    NAME = "name"
    VERSION = "version"
    NAME_VERSION = "name-version"
    MAKEFILE = "makefile"
    JSON = "json"


def lines(
    graph: Graph,
    packages: Iterable[Package],
    kind: Kind,
    arch: Arch,
    makefile: Makefile = NO_MAKEFILE,
) -> list[str]:
    """Return one line for each of `packages`; `makefile` says how a package becomes a target."""
    match kind:
        case Kind.TARGET:
            return makefile.targets(packages, arch)
        case Kind.NAME:
            return [one.name for one in packages]
        case Kind.VERSION:
            return [one.full_version for one in packages]
        case Kind.NAME_VERSION:
            return [f"{one.name}-{one.full_version}" for one in packages]
        case Kind.MAKEFILE:
            return [
                f"$(eval $(call build-package,{one.name},{one.full_version}))" for one in packages
            ]
        case Kind.JSON:
            dropped: dict[str, set[str]] = {}
            for edge in graph.dropped_edges:
                dropped.setdefault(edge.package, set()).add(edge.origin)
            return [_json(graph, one, dropped.get(one.name, set())) for one in packages]


def _json(graph: Graph, package: Package, dropped: Collection[str]) -> str:
    edges = graph.needs(package.name)
    return json.dumps(
        {
            "name": package.name,
            "version": package.version,
            "epoch": package.epoch,
            "file": package.file,
            "line": package.line,
            "level": graph.level(package.name),
            "architectures": list(package.target_architecture),
            "subpackages": [one.name for one in package.subpackages],
            "dependencies": [edge.need.name for edge in edges],
            "origins": sorted({edge.origin for edge in edges if edge.origin in graph}),
            "external": [edge.need.name for edge in edges if edge.origin not in graph],
            "dropped": [
                {"name": edge.need.name, "origin": edge.origin, "where": edge.where}
                for edge in edges
                if edge.origin in dropped
            ],
        },
        ensure_ascii=False,
    )


def describe(edge: Edge) -> str:
    """Return one edge in words: `a needs b-dev (of b) at a.yaml:12, environment`."""
    name = edge.need.name
    via = f" (of {edge.origin})" if name != edge.origin else ""
    if edge.provider and edge.provider not in (name, edge.origin):
        via = f" (provided by {edge.provider}, of {edge.origin})"
    elif edge.provider:
        via = f" (provided by {edge.origin})"
    return f"{edge.package} needs {name}{via} at {edge.where}, {edge.need.reason}"


def dot(graph: Graph, packages: Sequence[Package], *, name: str = "packages") -> str:
    """Return the edges among `packages` and to external names, in Graphviz's language.

    An edge points at the package that is needed. Dashed lines are edges that the order drops, and
    names that no definition gives.
    """
    chosen = {one.name for one in packages}
    dropped = {(edge.package, edge.origin) for edge in graph.dropped_edges}
    output = [f"digraph {_quote(name)} {{", "  rankdir=LR;", "  node [shape=box];"]
    externals: set[str] = set()
    edges: list[str] = []
    for package in sorted(packages, key=lambda one: one.name):
        label = f"{package.name} {package.full_version}"
        output.append(f"  {_quote(package.name)} [label={_quote(label)}];")
        seen: set[str] = set()
        for edge in sorted(graph.needs(package.name), key=lambda edge: edge.origin):
            if edge.origin in seen:
                continue
            seen.add(edge.origin)
            if edge.origin not in graph:
                externals.add(edge.origin)
            elif edge.origin not in chosen:
                continue
            style = " [style=dashed]" if (package.name, edge.origin) in dropped else ""
            edges.append(f"  {_quote(package.name)} -> {_quote(edge.origin)}{style};")
    output += [f"  {_quote(one)} [style=dashed];" for one in sorted(externals)]
    return "\n".join([*output, *edges, "}", ""])


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
