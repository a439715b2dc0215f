"""The graph with gates answers what a graph of all edges would."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dag.core.graph import digraph, feedback
from dag.core.graph.gates import Gates
from dag.core.graph.installs import Installs
from dag.core.package.apkindex import IndexEntry, PackageRepository
from dag.core.package.model import Need, Package, Subpackage


def package(
    name: str,
    *needs: str,
    runtime: tuple[str, ...] = (),
    subpackages: tuple[Subpackage, ...] = (),
    provides: tuple[str, ...] = (),
    only_for: tuple[str, ...] = (),
) -> Package:
    environment = tuple(Need(need, f"{name}.yaml", 10, "environment") for need in needs)
    return Package(
        name=name,
        version="1",
        epoch=0,
        file=f"{name}.yaml",
        line=2,
        environment=environment,
        runtime=runtime,
        subpackages=subpackages,
        provides=provides,
        target_architecture=only_for,
    )


@st.composite
def distributions(draw: st.DrawFn) -> list[Package]:
    """Definitions that need each other in every way, with conflicts, constraints and providers."""
    size = draw(st.integers(1, 8))
    names = [f"p{number}" for number in range(size)]
    some = [*names, *(f"{name}-dev" for name in names), "virtual", "p0=1-r0", "p1<1", "nowhere"]
    needs = st.lists(st.sampled_from(some), max_size=3, unique=True)
    runtime = st.lists(st.sampled_from([*some, "!p2"]), max_size=2, unique=True)
    return [
        package(
            name,
            *draw(needs),
            runtime=tuple(draw(runtime)),
            subpackages=(Subpackage(f"{name}-dev", "x", 9, tuple(draw(runtime))),),
            provides=("virtual",) if draw(st.booleans()) else (),
        )
        for name in names
    ]


def edges_of(installs: Installs) -> list[set[int]]:
    return [
        {owner for number in installs.walk(unit) if (owner := installs.owner(number)) is not None}
        for unit in range(len(installs.packages))
    ]


@given(distributions())
def test_reachability_components_and_order_are_those_of_all_edges(packages: list[Package]) -> None:
    installs = Installs(packages, None)
    edges = edges_of(installs)
    for unit, targets in enumerate(edges):
        assert installs.installed(unit) in (targets, None)
        assert (installs.installed(unit) is None) == (installs.refusal(unit) is not None)
    gates = Gates(installs)
    others = [sorted(targets - {unit}) for unit, targets in enumerate(edges)]
    everyone = range(len(packages))
    assert gates.selfish == {unit for unit in everyone if unit in edges[unit]}
    assert gates.components == digraph.components(others)
    for unit in everyone:
        assert gates.reachable([unit]) == digraph.reachable(others, [unit])
        assert gates.users([unit]) == digraph.reachable(digraph.reverse(others), [unit])
    dropped = set()
    for members in gates.components:
        inside = set(members)
        assert all(
            gates.explicit[one] == [t for t in others[one] if t in inside] for one in members
        )
        dropped.update(feedback.edges(members, gates.explicit, lambda a, b: 1 + (a + b) % 3))
    order, levels = gates.order(frozenset(dropped))
    left = [[t for t in others[one] if (one, t) not in dropped] for one in everyone]
    assert (order, levels[: len(packages)]) == digraph.topological(left), (
        "the order and the levels are those of the edges that are left"
    )


@given(distributions(), st.data())
def test_a_shortest_path_is_as_short_as_one_over_all_edges(
    packages: list[Package], data: st.DataObject
) -> None:
    installs = Installs(packages, None)
    gates = Gates(installs)
    others = [sorted(targets) for targets in edges_of(installs)]
    start, goal = (data.draw(st.integers(0, len(packages) - 1)) for _ in range(2))
    found = gates.shortest_path(start, goal)
    expected = digraph.shortest_path(others, start, goal)
    assert (found is None) == (expected is None)
    if found and expected:
        assert len(found) == len(expected)
        assert all(b in others[a] for a, b in pairwise(found))


@given(distributions())
def test_each_package_that_is_installed_has_a_way_there(packages: list[Package]) -> None:
    installs = Installs(packages, None)
    for unit, one in enumerate(packages):
        ways = list(installs.ways(unit))
        assert {way.package for way in ways} == set(installs.walk(unit))
        for way in ways:
            assert way.need in one.environment
            for user, needed in pairwise(way.packages):
                assert installs.candidates[user].depends, (user, needed)


def test_what_a_repository_has_in_the_very_version_is_ours() -> None:
    listed = [IndexEntry("a", "1-r0", "a", ("b",), ()), IndexEntry("c", "2-r0", "c", ("a",), ())]
    packages = [package("a"), package("b", "a", "c")]
    installs = Installs(packages, None, PackageRepository(listed))
    assert [installs.candidates[n].name for n in installs.walk(1)] == ["a", "c"]
    assert edges_of(installs) == [set(), {0}]


def test_a_definition_for_another_architecture_makes_nothing() -> None:
    packages = [package("a", only_for=("aarch64",)), package("b", "a")]
    assert edges_of(Installs(packages, "x86_64")) == [set(), set()]
    assert edges_of(Installs(packages, "aarch64")) == [set(), {0}]
    assert edges_of(Installs(packages, None)) == [set(), {0}]
