"""The graph as text: one line a package, or Graphviz's dot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import pairwise

from dag.core.arch import Arch
from dag.core.graph.edges import Edge
from dag.core.graph.graph import Graph
from dag.core.graph.sketch import Sketch
from dag.core.package.makefile import NO_MAKEFILE, Makefile
from dag.core.package.model import APPENDED, Package
from dag.core.visible import visible, visible_json


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
            return [visible_json(one) for one in descriptions(graph, packages)]


def descriptions(graph: Graph, packages: Iterable[Package]) -> list[dict[str, object]]:
    """Return everything about packages, in a form that JSON can hold."""
    dropped: dict[str, dict[str, Edge]] = {}
    for edge in graph.dropped_edges:
        dropped.setdefault(edge.package, {})[edge.origin] = edge
    return [_description(graph, one, dropped.get(one.name, {})) for one in packages]


def _description(graph: Graph, package: Package, dropped: Mapping[str, Edge]) -> dict[str, object]:
    edges = graph.needs(package.name)
    left_out = [edge for edge in edges if edge.is_ours and edge.origin in dropped]
    left_out += [edge for edge in dropped.values() if edge.through]
    return {
        "name": package.name,
        "version": package.version,
        "epoch": package.epoch,
        "file": package.file,
        "line": package.line,
        "level": graph.level(package.name),
        "architectures": list(package.target_architecture),
        "subpackages": [one.name for one in package.subpackages],
        "dependencies": [edge.need.name for edge in edges],
        "origins": sorted({edge.origin for edge in edges if edge.is_ours}),
        "external": [edge.need.name for edge in edges if not edge.is_ours],
        "appended": [one.name for one in package.environment if one.reason == APPENDED],
        "needs": graph.needs_by_text(package.name),
        "installs": graph.installed(package.name),
        "dropped": [
            {
                "name": edge.need.name,
                "origin": edge.origin,
                "where": edge.where,
                "kind": edge.kind,
            }
            for edge in left_out
        ],
    }


def describe(edge: Edge) -> str:
    """Return one edge in words: `a needs b-dev (of b) at a.yaml:12, environment`.

    What is needed at run time follows: `; b-dev needs c at run time`.
    """
    head = f"{edge.package} needs {edge.need.name}"
    tail = f" at {edge.where}, {edge.need.reason}"
    if not edge.through:
        return f"{head}{_made_by(edge.need.name, edge.provider, edge.origin)}{tail}"
    provider = f" (provided by {edge.provider})" if edge.provider else ""
    steps = [f"{user} needs {needed}" for user, needed in pairwise(edge.through)]
    last = _made_by(edge.through[-1], None, edge.origin)
    return f"{head}{provider}{tail}; {', '.join(steps)}{last} at run time"


def _made_by(name: str, provider: str | None, origin: str) -> str:
    if provider and provider not in (name, origin):
        return f" (provided by {provider}, of {origin})"
    if provider:
        return f" (provided by {origin})"
    return f" (of {origin})" if name != origin else ""


def dot(sketch: Sketch, *, name: str = "packages") -> str:
    """Return a sketch in Graphviz's language.

    An edge points at the package that is needed. Dashed lines are edges that the order drops, and
    names that no definition gives. Dotted lines lead to what is needed only at run time of what is
    installed.
    """
    output = [f"digraph {_quote(name)} {{", "  rankdir=LR;", "  node [shape=box];"]
    for package in sketch.packages:
        label = f"{package.name} {package.full_version}"
        output.append(f"  {_quote(package.name)} [label={_quote(label)}];")
    output += [f"  {_quote(one)} [style=dashed];" for one in sketch.externals]
    for line in sketch.lines:
        style = " [style=dashed]" if line.dropped else " [style=dotted]" if line.at_run_time else ""
        output.append(f"  {_quote(line.start)} -> {_quote(line.goal)}{style};")
    return "\n".join([*output, "}", ""])


def _quote(text: str) -> str:
    escaped = visible(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
