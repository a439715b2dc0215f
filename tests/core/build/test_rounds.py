"""Cycles that are opened: reruns change nothing, and a second round takes what the store has.

The units here are functions, as in `test_cutoff`; a repository has an old version of every package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from dag.core.build.bootstrap import Dropped, Holder
from dag.core.build.inputs import UnitInputs
from dag.core.build.known import Known, Stored
from dag.core.build.plan import BuildPlan, BuildRequest, Reason, make_plan
from dag.core.build.rounds import CycleEdges
from dag.core.package.model import Package
from dag.core.store.records import Built, Inputs
from tests.core.build.test_cutoff import DEPENDENTS, X86, World

PLAIN = BuildRequest()
ROUND = BuildRequest(rebuild_cycle=True)
BOTH = BuildRequest(rebuild_cycle=True, rebuild_dependents=True)
EVERYTHING = BuildRequest(rebuild_all=True)


@dataclass
class CyclicWorld(World):
    """Definitions that need each other; `has_repository` says whether cycles can be opened."""

    has_repository: bool = True
    edges: CycleEdges = field(init=False)

    def plan(self, request: BuildRequest) -> BuildPlan:
        graph = self.graph()
        inputs, shelf = self.inputs(graph), self.shelf()
        packages = {one.name: one for one in graph.packages}
        prints = {name: str(value) for name, value in self.definitions.items()}
        before = [one for record in self.records.values() for one in record.built]
        self.edges = CycleEdges(
            graph=graph,
            records=dict(self.published),
            fingerprints=prints,
            shelf=shelf,
            find=lambda name, digest: next(
                (one for one in before if (one.apk.name, one.apk.sha256) == (name, digest)), None
            ),
            is_second=request.rebuild_cycle,
        )
        stored = {
            name: Stored.of(
                record,
                is_unchanged=inputs.is_unchanged(packages[name], record, shelf)
                if request.rebuild_dependents
                else None,
                replaced=self.edges.replaced(record),
            )
            for name, record in self.published.items()
        }
        repository = {name: {"0-r0"} for name in self.needs} if self.has_repository else {}
        known = Known(stored=stored, fingerprints=prints, repository=repository)
        return make_plan(graph, X86, request, known)

    def resolve(
        self, package: Package, inputs: UnitInputs, plan: BuildPlan
    ) -> tuple[dict[str, Built], Inputs]:
        dropped = {one.name for one in plan.dropped if one.package == package.name}
        held = self.edges.held(package.name, dropped)
        environment = inputs.environment(package, self.shelf(), dropped - held.keys(), held)
        return environment, inputs.of(package, environment, dropped - held.keys())

    def opened(self) -> Mapping[str, tuple[str, ...]]:
        """Return what a repository gave to the published units."""
        inputs = {name: record.inputs for name, record in self.published.items()}
        return {name: one.dropped for name, one in inputs.items() if one and one.dropped}


def ring() -> CyclicWorld:
    return CyclicWorld({"a": ["b"], "b": ["a"], "c": ["a"]}, {"a": 1, "b": 0, "c": 0})


def test_a_second_round_builds_what_had_a_repositorys_package_with_our_own() -> None:
    world = ring()
    world.build(PLAIN)
    assert world.opened() == {"b": ("a",)}
    first = world.published["b"]
    assert world.build(PLAIN) == world.build(DEPENDENTS) == ([], [])
    plan = world.plan(ROUND)
    assert [(one.package.name, one.reason, one.because) for one in plan.steps] == [
        ("b", Reason.ROUND, "a")
    ]
    assert world.build(ROUND) == (["b"], [])
    second = world.published["b"]
    assert second.inputs is not None
    assert second.inputs.environment == {"a": world.published["a"].built[0].apk.sha256}
    assert second.result != first.result
    assert world.opened() == {}
    # A third round and any rerun change nothing.
    assert world.build(ROUND) == world.build(PLAIN) == ([], [])


def test_what_is_built_with_a_second_round_follows_and_the_round_itself_stays() -> None:
    world = ring()
    world.build(PLAIN)
    world.build(ROUND)
    second = world.published["b"]
    built, unchanged = world.build(DEPENDENTS)
    assert (built, unchanged) == (["a", "c"], ["b"])
    assert world.published["b"] == second
    plan = world.plan(DEPENDENTS)
    assert world.edges.told(plan.dropped) == (Dropped("b", "a", Holder.STORE),)
    assert world.build(DEPENDENTS)[0] == world.build(BOTH)[0] == []
    assert world.published["b"] == second


def test_a_second_round_needs_no_repository() -> None:
    # b and c had something of a repository, and each needs the other.
    world = CyclicWorld(
        {"a": ["b", "c"], "b": ["a", "c"], "c": ["a", "b"]}, dict.fromkeys("abc", 1)
    )
    world.build(PLAIN)
    assert world.opened() == {"b": ("a",), "c": ("a", "b")}
    world.has_repository = False
    assert sorted(world.build(ROUND)[0]) == ["b", "c"]
    assert world.opened() == {}
    assert world.build(ROUND) == ([], [])


def test_a_new_definition_begins_a_first_round() -> None:
    world = ring()
    world.build(PLAIN)
    world.build(ROUND)
    world.definitions |= {"a": 2, "b": 3}
    assert world.build(PLAIN)[0] == ["b", "a"]
    assert world.opened() == {"b": ("a",)}
    world.definitions |= {"a": 4, "b": 5}
    assert world.build(ROUND)[0] == ["b", "a"]
    assert world.opened() == {}


@st.composite
def worlds(draw: st.DrawFn) -> CyclicWorld:
    names = [f"p{number}" for number in range(draw(st.integers(2, 6)))]
    needs = {
        name: draw(st.lists(st.sampled_from([n for n in names if n != name]), unique=True))
        for name in names
    }
    return CyclicWorld(needs, dict.fromkeys(names, 0))


changes = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 5), st.integers(0, 3), max_size=3),
        st.sampled_from([PLAIN, DEPENDENTS, ROUND, BOTH, BuildRequest(packages=("p0",))]),
    ),
    max_size=4,
)


@given(worlds(), changes)
def test_after_a_second_round_a_third_one_and_reruns_change_nothing(
    world: CyclicWorld, changes: list[tuple[dict[int, int], BuildRequest]]
) -> None:
    for change, request in changes:
        world.definitions |= {
            f"p{number}": value for number, value in change.items() if f"p{number}" in world.needs
        }
        world.build(request)
    world.build(PLAIN)
    world.build(ROUND)
    assert world.opened() == {}
    there = dict(world.published)
    assert world.build(ROUND) == world.build(PLAIN) == ([], [])
    assert world.published == there
    # What is built with other inputs than before follows once.
    world.build(DEPENDENTS)
    there = dict(world.published)
    for request in (DEPENDENTS, BOTH, ROUND, PLAIN):
        assert world.build(request)[0] == []
        assert world.published == there
