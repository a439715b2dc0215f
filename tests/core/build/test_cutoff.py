"""Early cutoff: what comes out the same stops a wave, and every wave ends like a build from nothing.
from tests.support.apks import told

The units here are functions: what comes out follows from what goes in, and often is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from dag.core.arch import Arch
from dag.core.build.events import Began, Proven, ProvePackages, Start, Succeeded, Unchanged
from dag.core.build.inputs import Shared, UnitInputs
from dag.core.build.known import Known, Stored
from dag.core.build.plan import Absence, BuildPlan, BuildRequest, Reason, make_plan
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import THERE, RunLimits
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import PackageRepository
from dag.core.package.model import Need, Package
from dag.core.store.records import Built, Inputs, Record, decode_record, encode_record
from dag.core.store.shelf import Shelf
from tests.support.apks import told

X86 = Arch.parse("x86_64")
DEPENDENTS = BuildRequest(rebuild_dependents=True)


def package(name: str, needs: list[str]) -> Package:
    return Package(
        name=name,
        version="1",
        epoch=0,
        file=f"{name}.yaml",
        line=1,
        environment=tuple(Need(need, f"{name}.yaml", 2, "environment") for need in needs),
    )


@dataclass
class World:
    """Definitions, and a store that remembers every record."""

    needs: Mapping[str, list[str]]
    definitions: dict[str, int]
    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    """By package and key."""
    melange: str = "0.56.0"
    published: dict[str, Record] = field(default_factory=dict)

    def graph(self) -> Graph:
        return Graph([package(name, needs) for name, needs in self.needs.items()], arch=X86.apk)

    def inputs(self, graph: Graph) -> UnitInputs:
        prints = {name: str(value) for name, value in self.definitions.items()}
        shared = Shared(arch="x86_64", common="", variables=(), script="", melange=self.melange)
        return UnitInputs(
            graph, shared, fingerprints=prints, epochs={}, repository=lambda _: PackageRepository()
        )

    def plan(self, request: BuildRequest) -> BuildPlan:
        graph = self.graph()
        inputs, shelf = self.inputs(graph), self.shelf()
        packages = {one.name: one for one in graph.packages}
        stored = {
            name: Stored.of(
                record,
                is_unchanged=inputs.is_unchanged(packages[name], record, shelf)
                if request.rebuild_dependents
                else None,
            )
            for name, record in self.published.items()
        }
        prints = {name: str(value) for name, value in self.definitions.items()}
        return make_plan(graph, X86, request, Known(stored=stored, fingerprints=prints))

    def shelf(self) -> Shelf:
        shelf = Shelf()
        for record in self.published.values():
            shelf.add(record.built)
        return shelf

    def build(self, request: BuildRequest = DEPENDENTS) -> tuple[list[str], list[str]]:
        """Run a build; return what was built, and what turned out to be unchanged."""
        plan = self.plan(request)
        graph = self.graph()
        inputs = self.inputs(graph)
        packages = {one.name: one for one in graph.packages}
        forced = {step.package.name for step in plan.steps if step.reason is Reason.ASKED}
        scheduler = Scheduler(plan.units, RunLimits(jobs=2))
        built, unchanged = [], []
        todo = scheduler.handle(Began(), 0)
        while todo:
            match todo.pop(0):
                case Start(name, attempt):
                    environment, made = self.resolve(packages[name], inputs, plan)
                    same = None if name in forced else self.records.get((name, made.key))
                    if same is None:
                        todo += scheduler.handle(Succeeded(name, attempt), 1)
                    else:
                        self.published[name] = same
                        unchanged.append(name)
                        todo += scheduler.handle(Unchanged(name, attempt), 1)
                case ProvePackages(name, attempt):
                    environment, made = self.resolve(packages[name], inputs, plan)
                    digest = result(name, self.definitions[name], environment)
                    self.published[name] = self.records[name, made.key] = Record(
                        name=name,
                        version="1-r0",
                        key=made.key,
                        fingerprint=str(self.definitions[name]),
                        inputs=made,
                        seconds=1,
                        built=(Built(apk=told(name, sha256=digest)),),
                    )
                    built.append(name)
                    todo += scheduler.handle(Proven(name, attempt), 1)
        assert scheduler.finished
        assert all(one.state in THERE for one in scheduler.units.values())
        return built, unchanged

    def resolve(
        self, package: Package, inputs: UnitInputs, plan: BuildPlan
    ) -> tuple[dict[str, Built], Inputs]:
        """Return the environment of a unit, and what goes into it."""
        assert not plan.dropped
        environment = inputs.environment(package, self.shelf())
        return environment, inputs.of(package, environment)

    def digests(self) -> dict[str, str]:
        return {name: record.built[0].apk.sha256 for name, record in self.published.items()}


def result(name: str, definition: int, environment: Mapping[str, Built]) -> str:
    """Return what comes out: only the parity of what goes in counts."""
    parity = definition + sum(int(one.apk.sha256[-1], 16) for one in environment.values())
    return hashlib.sha256(f"{name} {parity % 2}".encode()).hexdigest()[:63] + str(parity % 2)


CHAIN = {"a": [], "b": ["a"], "c": ["b"], "d": ["a", "c"]}


def test_what_comes_out_the_same_stops_the_wave() -> None:
    world = World(CHAIN, dict.fromkeys(CHAIN, 0))
    world.build()
    world.definitions["a"] = 2  # another definition, and the same package
    assert {step.package.name: step.reason for step in world.plan(DEPENDENTS).steps} == {
        "a": Reason.CHANGED,
        "b": Reason.DEPENDENCY,
        "c": Reason.DEPENDENCY,
        "d": Reason.DEPENDENCY,
    }
    assert world.build() == (["a"], ["b", "c", "d"])
    world.definitions["a"] = 3
    assert world.build() == (["a", "b", "c", "d"], [])


def test_a_rerun_has_nothing_to_do_and_says_so() -> None:
    world = World(CHAIN, dict.fromkeys(CHAIN, 0))
    world.build()
    assert {one.absence for one in world.plan(DEPENDENTS).skipped} == {Absence.UNCHANGED}
    assert {one.absence for one in world.plan(BuildRequest()).skipped} == {Absence.STORED}
    assert world.build() == ([], [])


def test_what_an_earlier_run_left_out_is_made_up_for() -> None:
    world = World(CHAIN, dict.fromkeys(CHAIN, 0))
    world.build()
    world.definitions["a"] = 1
    assert world.build(BuildRequest()) == (["a"], [])  # as distributions want it
    reasons = {step.package.name: step.reason for step in world.plan(DEPENDENTS).steps}
    assert (reasons["b"], reasons["c"]) == (Reason.INPUTS, Reason.DEPENDENCY)
    assert world.build() == (["b", "c", "d"], [])


def test_another_melange_is_another_input_and_one_that_nobody_knows_is_none() -> None:
    world = World(CHAIN, dict.fromkeys(CHAIN, 0))
    world.build()
    world.melange = ""  # as where a dry run finds none
    assert not world.plan(DEPENDENTS).steps
    world.melange = "0.57.0"
    assert not world.plan(BuildRequest()).steps  # as distributions want it
    reasons = {step.package.name: step.reason for step in world.plan(DEPENDENTS).steps}
    assert reasons == dict.fromkeys(CHAIN, Reason.INPUTS)
    assert world.build() == (["a", "b", "c", "d"], [])


def test_records_of_before_do_not_tell_of_their_melange_and_count_all_the_same() -> None:
    world = World(CHAIN, dict.fromkeys(CHAIN, 0), melange="")
    world.build()
    encoded = encode_record(world.published["a"])
    assert b"melange" not in encoded
    assert decode_record(encoded) == world.published["a"]
    world.melange = "0.57.0"
    assert {one.absence for one in world.plan(DEPENDENTS).skipped} == {Absence.STORED}
    world.definitions["a"] = 1
    assert world.build()[0] == ["a", "b", "c", "d"]


def test_a_definition_that_is_turned_back_builds_nothing() -> None:
    world = World(CHAIN, dict.fromkeys(CHAIN, 0))
    world.build()
    before = world.digests()
    world.definitions["a"] = 1
    world.build()
    world.definitions["a"] = 0
    assert world.build() == ([], ["a", "b", "c", "d"])
    assert world.digests() == before


def test_what_is_asked_for_is_built_all_the_same() -> None:
    world = World(CHAIN, dict.fromkeys(CHAIN, 0))
    world.build()
    request = BuildRequest(rebuild_dependents=True, rebuild=frozenset({"a"}))
    assert world.build(request) == (["a"], ["b", "c", "d"])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = [f"p{number}" for number in range(draw(st.integers(1, 8)))]
    needs = {
        name: draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else []
        for number, name in enumerate(names)
    }
    return World(needs, dict.fromkeys(names, 0))


changes = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 7), st.integers(0, 3), max_size=3),
        st.sampled_from([DEPENDENTS, BuildRequest(), BuildRequest(packages=("p0",))]),
    ),
    max_size=5,
)


@given(worlds(), changes)
def test_in_the_end_all_is_as_if_it_were_built_from_nothing(
    world: World, changes: list[tuple[dict[int, int], BuildRequest]]
) -> None:
    for change, request in [*changes, ({}, DEPENDENTS)]:
        world.definitions |= {
            f"p{number}": value for number, value in change.items() if f"p{number}" in world.needs
        }
        keys = set(world.records)
        built, unchanged = world.build(request)
        assert not set(built) & set(unchanged)
        # Nothing is built whose key has a record.
        assert {key for key in world.records if key not in keys} == {
            (name, world.published[name].key) for name in built
        }
        assert len({(name, world.published[name].key) for name in built} & keys) == 0
    fresh = World(world.needs, dict(world.definitions))
    fresh.build()
    assert world.digests() == fresh.digests()
    assert world.build() == ([], [])
