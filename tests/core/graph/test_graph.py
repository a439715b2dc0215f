from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.graph import digraph, feedback
from dag.core.graph.graph import Graph
from dag.core.graph.installs import Way
from dag.core.graph.weights import HeaviestWays
from dag.core.package.apkindex import IndexEntry, PackageRepository
from dag.core.package.model import Need, Package, Subpackage, bare_name


def package(
    name: str,
    *needs: str,
    subpackages: Iterable[str] = (),
    provides: Iterable[str] = (),
    version: str = "1",
    priority: int = 0,
    reason: str = "environment",
    runtime: Iterable[str] = (),
) -> Package:
    file = f"{name}.yaml"
    return Package(
        name=name,
        version=version,
        epoch=0,
        file=file,
        line=2,
        environment=tuple(Need(need, file, 10 + n, reason) for n, need in enumerate(needs)),
        subpackages=tuple(
            Subpackage(one, file, 50 + n, tuple(runtime)) for n, one in enumerate(subpackages)
        ),
        runtime=tuple(runtime),
        provides=tuple(provides),
        provider_priority=priority,
    )


def repository(name: str, version: str = "0-r0") -> PackageRepository:
    return PackageRepository([IndexEntry(name, version, name, (), ())])


def names(packages: Iterable[Package]) -> list[str]:
    return [one.name for one in packages]


@st.composite
def graphs(draw: st.DrawFn) -> Mapping[str, list[str]]:
    size = draw(st.integers(1, 12))
    nodes = [f"p{number:02}" for number in range(size)]
    return {node: draw(st.lists(st.sampled_from(nodes), max_size=4, unique=True)) for node in nodes}


def build(needs: Mapping[str, list[str]], shuffle: random.Random | None = None) -> Graph:
    packages = [package(name, *targets) for name, targets in needs.items()]
    if shuffle:
        shuffle.shuffle(packages)
    return Graph(packages)


def test_dependencies_come_first_and_ties_go_by_name() -> None:
    graph = build({"a": ["z"], "b": [], "c": ["b", "x"], "x": [], "z": []})
    assert names(graph.order()) == ["b", "x", "c", "z", "a"]
    assert [graph.level(name) for name in "abcxz"] == [1, 0, 1, 0, 0]


def test_a_subpackage_or_provided_name_stands_for_its_origin() -> None:
    graph = Graph(
        [
            package("lib", subpackages=["lib-dev"], provides=["so:lib.so=1"]),
            package("app", "lib-dev>=1", "so:lib.so"),
        ]
    )
    assert names(graph.closure(["app"])) == ["lib", "app"]
    assert names(graph.closure(["lib-dev", "so:lib.so"])) == ["lib"]
    assert [edge.origin for edge in graph.needs("app")] == ["lib", "lib"]
    assert [edge.provider for edge in graph.needs("app")] == [None, "lib"]


def test_conflicts_are_no_needs_and_unknown_names_are_external() -> None:
    graph = Graph([package("a", "!b", "elsewhere~2", "b"), package("b")])
    assert [edge.need.name for edge in graph.needs("a")] == ["elsewhere", "b"]
    assert graph.missing({"a"}) == {"elsewhere": ["a"]}
    assert graph.missing({"b"}) == {}
    assert (
        Graph([package("a", "elsewhere")], repository=repository("elsewhere")).missing({"a"}) == {}
    )


@pytest.mark.parametrize(
    "text", ["foo=1.2", "foo~1", "foo>3", "foo>=3", "foo@edge", "foo", " foo <2"]
)
def test_the_constraint_is_cut_off(text: str) -> None:
    assert bare_name(text) == "foo"


def test_self_loops_are_dropped_and_told() -> None:
    graph = Graph([package("a", "a-dev", subpackages=["a-dev"]), package("b", "a")])
    assert [edge.where for edge in graph.self_loops()] == ["a.yaml:10"]
    assert names(graph.order()) == ["a", "b"]
    assert [(edge.package, edge.origin) for edge in graph.dropped_edges] == [("a", "a")]
    assert [edge.origin for edge in graph.path("a", "a") or []] == ["a"]


def test_the_edge_that_closes_a_cycle_is_dropped_as_the_original_did_by_name() -> None:
    graph = build({"a": ["b"], "b": ["c"], "c": ["a"]})
    assert [(edge.package, edge.origin, edge.where) for edge in graph.dropped_edges] == [
        ("c", "a", "c.yaml:10")
    ]
    assert names(graph.order()) == ["c", "b", "a"]


def test_what_a_repository_has_is_dropped_first() -> None:
    packages = [package("a", "b"), package("b", "c"), package("c", "a")]
    graph = Graph(packages, repository=repository("b"))
    assert [(edge.package, edge.origin) for edge in graph.dropped_edges] == [("a", "b")]


def test_what_the_original_left_out_is_dropped_before_what_it_had() -> None:
    first = package("a", "b", reason="subpackage a-dev uses split/dev")
    graph = Graph([first, package("b", "a")])
    assert [(edge.package, edge.origin) for edge in graph.dropped_edges] == [("a", "b")]


def test_a_component_shows_its_shortest_cycles_and_what_opens_it() -> None:
    graph = build(
        {"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["b"], "e": ["a"], "f": ["g"], "g": ["f"]}
    )
    first, second = graph.components()
    assert names(first.packages) == ["a", "b", "c", "d"]
    assert [[edge.package for edge in cycle] for cycle in first.cycles] == [["a", "b"]]
    assert first.bootstrap == ("b",)
    assert names(second.packages) == ["f", "g"]


@given(graphs(), st.randoms(use_true_random=False))
def test_file_order_plays_no_part(needs: Mapping[str, list[str]], shuffle: random.Random) -> None:
    one, other = build(needs), build(needs, shuffle)
    assert names(one.order()) == names(other.order())
    assert one.dropped_edges == other.dropped_edges
    assert one.components() == other.components()


@given(graphs())
def test_the_order_respects_every_edge_that_is_not_dropped(needs: Mapping[str, list[str]]) -> None:
    graph = build(needs)
    position = {name: place for place, name in enumerate(names(graph.order()))}
    dropped = {(edge.package, edge.origin) for edge in graph.dropped_edges}
    assert position.keys() == needs.keys()
    for name, targets in needs.items():
        for target in targets:
            assert (name, target) in dropped or position[target] < position[name]


@given(graphs())
def test_each_dropped_edge_would_close_a_cycle(needs: Mapping[str, list[str]]) -> None:
    graph = build(needs)
    dropped = {(edge.package, edge.origin) for edge in graph.dropped_edges}
    kept = {n: [t for t in targets if (n, t) not in dropped] for n, targets in needs.items()}
    for name, target in dropped:
        again = {**kept, name: [*kept[name], target]}
        assert build(again).dropped_edges


@given(graphs(), st.data())
def test_closure_dependents_and_path_agree(
    needs: Mapping[str, list[str]], data: st.DataObject
) -> None:
    graph = build(needs)
    a, b = (data.draw(st.sampled_from(sorted(needs))) for _ in range(2))
    assert (b in names(graph.closure([a]))) == (a in names(graph.dependents([b])))
    way = graph.path(a, b)
    if a != b:
        assert (way is not None) == (b in names(graph.closure([a])))
    if way:
        assert (way[0].package, way[-1].origin) == (a, b)
        for edge, following in pairwise(way):
            assert edge.origin == following.package
        assert all(edge.origin in needs[edge.package] for edge in way)
    chosen = names(graph.closure([a]))
    assert chosen == [name for name in names(graph.order()) if name in set(chosen)]


@given(graphs())
def test_components_are_mutual_reachability(needs: Mapping[str, list[str]]) -> None:
    order = sorted(needs)
    successors = [[order.index(target) for target in needs[name]] for name in order]
    reach = [digraph.reachable(successors, [node]) for node in range(len(order))]
    expected = {
        frozenset(b for b in range(len(order)) if b in reach[a] and a in reach[b])
        for a in range(len(order))
    }
    assert {frozenset(one) for one in digraph.components(successors)} == {
        one for one in expected if len(one) > 1
    }


@given(graphs())
def test_both_ways_to_open_cycles_open_them(needs: Mapping[str, list[str]]) -> None:
    order = sorted(needs)
    successors = [
        [order.index(target) for target in needs[name] if target != name] for name in order
    ]
    for members in digraph.components(successors):
        for choose in (feedback.edges, feedback.heuristic_edges):
            dropped = set(choose(members, successors, lambda a, b: 1 + (a + b) % 3))
            rest = [
                [target for target in targets if (node, target) not in dropped]
                for node, targets in enumerate(successors)
            ]
            assert not any(set(one) <= set(members) for one in digraph.components(rest))
        chosen = set(feedback.nodes(members, successors))
        rest = [
            [] if node in chosen else [target for target in targets if target not in chosen]
            for node, targets in enumerate(successors)
        ]
        assert not any(set(one) <= set(members) for one in digraph.components(rest))
        assert chosen < set(members)


def test_a_large_component_is_opened_in_linear_time() -> None:
    shuffle = random.Random(1)
    size = feedback.CLOSING + 500
    successors = [
        sorted({(node + 1) % size, *(shuffle.randrange(size) for _ in range(5))} - {node})
        for node in range(size)
    ]
    (members,) = digraph.components(successors)
    for node, target in feedback.edges(members, successors, lambda _a, _b: 1):
        successors[node].remove(target)
    order, _ = digraph.topological(successors)
    assert len(order) == size


def test_a_chain_as_long_as_no_recursion_could_go() -> None:
    size = 5000
    graph = build({f"p{n:05}": [f"p{n + 1:05}"] if n + 1 < size else [] for n in range(size)})
    assert graph.order()[0].name == f"p{size - 1:05}"
    assert graph.level("p00000") == size - 1


def test_a_hub_that_needs_all_its_users_takes_time_by_its_edges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 3000
    names = [f"p{number:04}" for number in range(size)]
    graph = Graph([package(names[0], *names[1:]), *(package(one, names[0]) for one in names[1:])])
    weighed = 0
    real = HeaviestWays._weight

    def counted(self: HeaviestWays, unit: int, way: Way) -> int:
        nonlocal weighed
        weighed += 1
        return real(self, unit, way)

    monkeypatch.setattr(HeaviestWays, "_weight", counted)
    (component,) = graph.components()
    assert len(component.dropped) == size - 1
    assert weighed < 20 * size
