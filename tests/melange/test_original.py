"""The graph of January 2023, compared with that of the original program: every difference has a reason."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from dag.core.graph.graph import Graph
from dag.io.package.definitions import read
from tests.support.distributions import SEED, data, unpacked

# There `strip` runs under an `if` that is false on x86_64. The original took its needs all the
# same, and melange does not. On aarch64 the condition is true.
NOT_ON_X86_64 = {("guile", "binutils"), ("guile", "scanelf")}


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the needs of melange's pipelines at that time, as files."""
    root = tmp_path_factory.mktemp("pipelines")
    table = yaml.safe_load(data("melange-needs-2023-01.yaml").read_text())
    for uses, entry in table.items():
        path = root / f"{uses}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"needs": {"packages": entry["needs"]}}))
    return root


def graph_for(arch: str, pipelines: Path) -> Graph:
    return Graph(read(unpacked(SEED), arch=arch, pipeline_dirs=[pipelines]))


@pytest.fixture(scope="module")
def graph(pipelines: Path) -> Graph:
    return graph_for("x86_64", pipelines)


@pytest.fixture(scope="module")
def built(graph: Graph) -> Graph:
    """The graph without what is needed at run time, which the original did not count.

    Only so its choice of edges to drop can be compared: more needs make more cycles.
    """
    return Graph(
        replace(
            package,
            runtime=(),
            subpackages=tuple(one._replace(runtime=()) for one in package.subpackages),
        )
        for package in graph.packages
    )


def edges(graph: Graph) -> set[tuple[str, str]]:
    own = {(sub.name, one.name) for one in graph.packages for sub in one.subpackages}
    return own | {(edge.package, edge.need.name) for edge in graph.edges()}


def original() -> set[tuple[str, str]]:
    lines = data("original-edges-2023-01-25.txt").read_text().splitlines()
    pairs = {tuple(line.split()) for line in lines if len(line.split()) == 2}
    return {(a, b) for a, b in pairs}


def test_every_edge_of_the_original_is_ours(graph: Graph, pipelines: Path) -> None:
    assert original() - edges(graph) == NOT_ON_X86_64
    assert original() <= edges(graph_for("aarch64", pipelines))


def test_every_other_edge_of_ours_has_a_reason(graph: Graph) -> None:
    groups = {
        package.name: number
        for number, component in enumerate(graph.components())
        for package in component.packages
    }
    ours = {(edge.package, edge.need.name): edge for edge in graph.edges()}
    classes: Counter[str] = Counter()
    for pair in edges(graph) - original():
        edge = ours[pair]
        same = edge.package == edge.origin
        if same or groups.get(edge.package, -1) == groups.get(edge.origin, -2):
            classes["cycle choice"] += 1
        else:
            classes[edge.kind] += 1
    assert classes == {"cycle choice": 67}


def test_the_same_edges_are_dropped(built: Graph) -> None:
    ours = {(edge.package, edge.need.name) for edge in built.dropped_edges}
    # go-1.19 provides the `go` that it needs; the original did not know provided names.
    assert ours - {("go-1.19", "go")} == edges(built) - original()


def test_what_is_dropped_besides_is_needed_at_run_time_or_in_a_cycle_with_that(
    graph: Graph, built: Graph
) -> None:
    assert edges(graph) == edges(built)
    inside = {package.name for one in graph.components() for package in one.packages}
    before = {(edge.package, edge.origin) for edge in built.dropped_edges}
    more = [edge for edge in graph.dropped_edges if (edge.package, edge.origin) not in before]
    assert {edge.kind for edge in more} == {"run time"}
    assert all(edge.package in inside or edge.package == edge.origin for edge in more)


def test_the_order_of_the_graph_puts_what_is_installed_first(graph: Graph) -> None:
    order = {package.name: place for place, package in enumerate(graph.order())}
    dropped = {(edge.package, edge.origin) for edge in graph.dropped_edges}
    for package, place in order.items():
        for needed in graph.installed(package) or ():
            if (package, needed) not in dropped:
                assert order[needed] < place, (package, needed)


def test_the_order_is_valid_for_both(built: Graph) -> None:
    graph = built
    order = {package.name: place for place, package in enumerate(graph.order())}
    assert len(order) == 342
    dropped = {(edge.package, edge.origin) for edge in graph.dropped_edges}
    for package, name in edges(graph) | original():
        origin = graph.origin(name)
        if package in order and origin is not None and (package, origin.name) not in dropped:
            assert order[origin.name] < order[package], (package, name)
    for package, name in original() - {("go-1.19", "go")}:
        origin = graph.origin(name)
        if package in order and origin is not None:
            assert order[origin.name] < order[package], (package, name)


def test_every_target_of_the_original_is_ours(graph: Graph) -> None:
    lines = data("original-text-2023-01-25.txt").read_text().split()
    ours = {f"packages/x86_64/{one.name}-{one.full_version}.apk" for one in graph.packages}
    missing = {line for line in lines if line not in ours}
    # The original took provided names for packages, and nothing makes files of these names.
    assert missing == {
        "packages/x86_64/go-1.19.999-r0.apk",
        "packages/x86_64/ninja-1.9.0-r0.apk",
    }
    assert graph.provider_for(graph.packages[0].name)("go") == "go-1.19"
    assert graph.provider_for(graph.packages[0].name)("ninja") == "samurai"
