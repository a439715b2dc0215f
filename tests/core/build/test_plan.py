"""The content of a plan, and the reasons for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.arch import Arch
from dag.core.build.bootstrap import Dropped
from dag.core.build.events import Began, ComputeResources, Proven, Start, Succeeded
from dag.core.build.known import Known, Stored
from dag.core.build.plan import Absence, BuildPlan, BuildRequest, Reason, make_plan
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.graph.graph import Graph
from dag.core.package.model import DeclaredResources as Asked
from dag.core.package.model import Need, Package, Subpackage
from dag.errors import UsageError
from dag.report.words import opening_words

X86 = Arch.parse("x86_64")
DEFAULT = Asked()
NOTHING = Known()
ALL = BuildRequest()


def package(
    name: str,
    *environment: str,
    runtime: tuple[str, ...] = (),
    subpackages: tuple[Subpackage, ...] = (),
    provides: tuple[str, ...] = (),
    version: str = "1",
    resources: Asked = DEFAULT,
    only_for: tuple[str, ...] = (),
) -> Package:
    return Package(
        name=name,
        version=version,
        epoch=0,
        file=f"{name}.yaml",
        line=2,
        environment=tuple(Need(text, f"{name}.yaml", 5, "environment") for text in environment),
        runtime=runtime,
        subpackages=subpackages,
        provides=provides,
        resources=resources,
        target_architecture=only_for,
    )


def sub(name: str, *runtime: str, provides: tuple[str, ...] = ()) -> Subpackage:
    return Subpackage(name, "x.yaml", 9, runtime=runtime, provides=provides)


def stored(*names: str, version: str = "1-r0", fingerprint: str = "") -> dict[str, Stored]:
    return {
        name: Stored(version=version, fingerprint=fingerprint, packages=(name,)) for name in names
    }


def plan(packages: list[Package], known: Known = NOTHING, request: BuildRequest = ALL) -> BuildPlan:
    return make_plan(Graph(packages, arch=X86.apk), X86, request, known)


def reasons(made: BuildPlan) -> dict[str, str]:
    return {step.package.name: step.reason.value for step in made.steps}


def simulate(made: BuildPlan) -> list[str]:
    """Return the order in which a single slot builds the plan."""
    scheduler = Scheduler(made.units, RunLimits(jobs=1))
    queue = scheduler.handle(Began(), 0)
    order = []
    while queue:
        action = queue.pop(0)
        if isinstance(action, Start):
            order.append(action.key)
            scheduler.handle(Succeeded(action.key, 1), 0)
            queue += scheduler.handle(Proven(action.key, 1), 0)
    assert scheduler.finished
    return order


CHAIN = [package("a"), package("b", "a"), package("c", "b")]


def test_builds_everything_that_is_missing_dependencies_first() -> None:
    made = plan(CHAIN)
    assert [step.package.name for step in made.steps] == ["a", "b", "c"]
    assert set(reasons(made).values()) == {"missing"}
    assert [step.unit.needs for step in made.steps] == [(), ("a",), ("b",)]


def test_builds_what_the_asked_one_needs_and_nothing_else() -> None:
    made = plan([*CHAIN, package("d")], request=BuildRequest(packages=("b",)))
    assert list(reasons(made)) == ["a", "b"]


def test_only_builds_just_what_is_asked_for() -> None:
    made = plan(CHAIN, request=BuildRequest(packages=("c", "a"), only=True))
    assert [step.unit for step in made.steps] == [
        step.unit for step in plan([package("a"), package("c")]).steps
    ]


def test_a_subpackage_stands_for_its_origin() -> None:
    packages = [package("a", subpackages=(sub("a-dev"),)), package("b", "a-dev>=1")]
    assert list(reasons(plan(packages, request=BuildRequest(packages=("a-dev",))))) == ["a"]
    assert list(reasons(plan(packages, request=BuildRequest(packages=("b",))))) == ["a", "b"]


def test_an_unknown_name_is_an_error_with_close_ones() -> None:
    with pytest.raises(UsageError, match='package "brotly" not found'):
        plan([package("brotli")], request=BuildRequest(packages=("brotly",)))
    with pytest.raises(UsageError, match='package "x" not found'):
        plan(CHAIN, request=BuildRequest(rebuild=frozenset({"x"})))


def test_what_the_store_has_is_skipped_and_nothing_is_built_for_it() -> None:
    made = plan(CHAIN, Known(stored=stored("b", "c")))
    assert reasons(made) == {"a": "missing"}
    assert [(one.package.name, one.absence) for one in made.skipped] == [
        ("b", Absence.STORED),
        ("c", Absence.STORED),
    ]
    assert plan(CHAIN, Known(stored=stored("b", "c")), BuildRequest(packages=("c",))).steps == ()


def test_another_version_or_a_missing_subpackage_is_missing() -> None:
    made = plan(CHAIN, Known(stored=stored("a", "b", version="0-r9")))
    assert made.steps[0].because == "0-r9"
    more = [package("a", subpackages=(sub("a-dev"),))]
    assert reasons(plan(more, Known(stored=stored("a")))) == {"a": "missing"}


def test_a_changed_definition_is_built_again() -> None:
    known = Known(stored=stored("a", fingerprint="old"), fingerprints={"a": "new"})
    assert reasons(plan([package("a")], known)) == {"a": "definition changed"}
    same = Known(stored=stored("a", fingerprint="new"), fingerprints={"a": "new"})
    assert reasons(plan([package("a")], same)) == {}
    unknown = Known(stored=stored("a"), fingerprints={"a": "new"})
    assert reasons(plan([package("a")], unknown)) == {}


def test_what_a_repository_has_is_not_built_nor_what_it_needs() -> None:
    known = Known(repository={"b": {"1-r0"}, "c": {"0-r0"}})
    made = plan(CHAIN, known, BuildRequest(packages=("c",)))
    assert reasons(made) == {"c": "missing"}
    assert made.steps[0].unit.needs == ()


def test_rebuild_forces_one_all_or_the_dependents() -> None:
    known = Known(stored=stored("a", "b", "c"))
    assert reasons(plan(CHAIN, known, BuildRequest(rebuild=frozenset({"b"})))) == {"b": "asked for"}
    everything = plan(CHAIN, known, BuildRequest(rebuild_all=True))
    assert reasons(everything) == dict.fromkeys("abc", "asked for")
    made = plan(CHAIN, known, BuildRequest(rebuild=frozenset({"a"}), rebuild_dependents=True))
    assert reasons(made) == {
        "a": "asked for",
        "b": "dependency rebuilt",
        "c": "dependency rebuilt",
    }
    assert [step.because for step in made.steps] == ["", "a", "b"]


def test_a_rebuild_is_asked_for_and_dependents_outside_of_what_is_asked_for_stay() -> None:
    known = Known(stored=stored("a", "b", "c"))
    request = BuildRequest(packages=("b",), rebuild=frozenset({"a"}), rebuild_dependents=True)
    assert reasons(plan(CHAIN, known, request)) == {"a": "asked for", "b": "dependency rebuilt"}


def test_the_run_time_needs_of_the_environment_must_be_there_first() -> None:
    packages = [
        package("app", "compiler"),
        package("compiler", runtime=("binutils", "so:libc.so.6")),
        package("binutils", subpackages=(sub("binutils-doc", "unrelated"),), runtime=("libc",)),
        package("libc"),
        package("unrelated"),
    ]
    made = plan(packages, request=BuildRequest(packages=("app",)))
    assert set(reasons(made)) == {"app", "compiler", "binutils", "libc"}
    order = simulate(made)
    assert order[-1] == "app"
    # To build the compiler itself, what it needs at run time need not be there.
    units = {step.package.name: step.unit for step in made.steps}
    assert units["compiler"].needs == ()


def test_run_time_needs_of_what_is_stored_come_from_what_was_built() -> None:
    packages = [package("app", "tool"), package("tool"), package("lib")]
    built = Stored(
        version="1-r0", fingerprint="", packages=("tool",), depends={"tool": ("so:lib.so.1",)}
    )
    other = Stored(
        version="0-r0", fingerprint="", packages=("lib",), provides={"lib": ("so:lib.so.1=1",)}
    )
    made = plan(
        packages, Known(stored={"tool": built, "lib": other}), BuildRequest(packages=("app",))
    )
    assert simulate(made) == ["lib", "app"]


def test_names_that_need_each_other_at_run_time_are_no_cycle() -> None:
    packages = [
        package("libc", runtime=("libc-bin",), subpackages=(sub("libc-bin", "libc", "data"),)),
        package("data", runtime=("libc",)),
        package("app", "libc"),
        package("more", "data"),
    ]
    made = plan(packages)
    assert made.stuck == ()
    order = simulate(made)
    assert order.index("app") > max(order.index("libc"), order.index("data"))
    assert len(made.gates) == 1


def test_a_provided_name_is_given_by_its_provider() -> None:
    packages = [
        package("jdk", subpackages=(sub("jdk-21", "fonts", provides=("java=21",)),)),
        package("fonts"),
        package("app", "java"),
    ]
    assert simulate(plan(packages, request=BuildRequest(packages=("app",))))[-1] == "app"
    assert set(reasons(plan(packages, request=BuildRequest(packages=("app",))))) == {
        "app",
        "fonts",
        "jdk",
    }


CYCLE = [
    package("a", "c"),
    package("b", "a"),
    package("c", "b"),
    package("user", "b"),
    package("free"),
]


def test_a_cycle_is_reported_and_everything_outside_of_it_is_built() -> None:
    made = plan(CYCLE)
    assert simulate(made) == ["free"]
    (stuck,) = made.stuck
    assert stuck.packages == ("a", "b", "c")
    assert stuck.cycles == (("a", "c", "b"),)
    assert len(stuck.bootstrap) == 1
    assert stuck.needs == (
        (
            "a needs c at a.yaml:5, environment",
            "c needs b at c.yaml:5, environment",
            "b needs a at b.yaml:5, environment",
        ),
    )
    # It is b that the user needs, whichever is first by name.
    assert dict(made.blocked) == {"user": "b"}


def test_a_cycle_opens_where_a_repository_has_what_closes_it() -> None:
    made = plan(CYCLE, Known(repository={"b": {"0-r0"}}))
    assert made.stuck == ()
    assert made.dropped == (Dropped("c", "b"),)
    order = simulate(made)
    assert [name for name in order if name in "abc"] == ["c", "a", "b"]
    # Outside of the cycle, packages wait for our own build.
    assert order.index("user") > order.index("b")


def test_a_cycle_through_a_run_time_need_opens_at_the_environment_only() -> None:
    packages = [package("a", "b"), package("b", runtime=("a",))]
    assert [stuck.packages for stuck in plan(packages).stuck] == [("a",)]
    assert plan(packages).stuck[0].bootstrap == ("a",)
    assert plan(packages).stuck[0].needs == (
        ("a needs b at a.yaml:5, environment; b needs a at run time",),
    )
    assert plan(packages).stuck[0].cycles == (("a", "b"),)
    opened = plan(packages, Known(repository={"b": {"0-r0"}}))
    assert opened.dropped == (Dropped("a", "b"),)
    # It is no help that a repository has a: b must be installed, and our b needs our a.
    assert plan(packages, Known(repository={"a": {"0-r0"}})).stuck != ()


def test_a_package_that_needs_itself_needs_a_repository() -> None:
    packages = [package("go", "go"), package("app", "go")]
    made = plan(packages)
    assert made.stuck[0].packages == ("go",)
    assert made.stuck[0].cycles == (("go",),)
    assert dict(made.blocked) == {"app": "go"}
    assert simulate(plan(packages, Known(repository={"go": {"0-r0"}}))) == ["go", "app"]


@pytest.mark.parametrize(
    ("packages", "openers"),
    [
        ([package("c", "c-dev", subpackages=(sub("c-dev"),))], ("c-dev",)),
        ([package("c", "c-dev", "c", subpackages=(sub("c-dev"),))], ("c", "c-dev")),
        ([package("c", "cmd:cc", subpackages=(sub("c-bin", provides=("cmd:cc",)),))], ("c-bin",)),
        ([package("a", "b"), package("b", runtime=("a",))], ("b",)),
        ([package("a", "b-dev"), package("b", "a", subpackages=(sub("b-dev"),))], None),
        (
            [package("a", "tool"), package("b", "tool"), package("tool", runtime=("a", "b"))],
            ("tool",),
        ),
        (CYCLE, None),
    ],
)
def test_what_is_said_to_open_a_cycle_opens_it(
    packages: list[Package], openers: tuple[str, ...] | None
) -> None:
    (stuck,) = plan(packages).stuck
    if openers is not None:
        assert stuck.openers == openers
    assert (
        opening_words(stuck) == f"a repository (-r) with {', '.join(stuck.openers)} would open it"
    )
    have = {name: {"0-r0"} for name in stuck.openers}
    assert plan(packages, Known(repository=have)).stuck == ()


def test_where_disk_is_counted_it_comes_from_the_same_places() -> None:
    packages = [package("a"), package("b", resources=Asked(disk="20Gi")), package("c")]
    request = BuildRequest(resources=ComputeResources(500, 1 << 30, 1 << 30))
    known = Known(needed={"a": ComputeResources(0, 0, 1), "c": ComputeResources(0, 0, 4 << 30)})
    units = {step.package.name: step.unit for step in plan(packages, known, request).steps}
    sizes = {name: unit.resources.disk >> 30 for name, unit in units.items()}
    assert sizes == {"a": 1, "b": 20, "c": 4}
    assert {unit.resources.ram for unit in units.values()} == {1 << 30}


def test_resources_come_from_the_definition_the_request_and_earlier_runs() -> None:
    packages = [
        package("a"),
        package("b", resources=Asked(cpu="1.5", memory="4Gi")),
        package("c", resources=Asked(memory="1Gi")),
    ]
    request = BuildRequest(resources=ComputeResources(500, 1 << 30))
    made = plan(
        packages,
        Known(needed={"c": ComputeResources(0, 3 << 30)}, seconds={"a": 7, "b": 1}),
        request,
    )
    units = {step.package.name: step.unit for step in made.steps}
    assert {unit.resources.disk for unit in units.values()} == {0}, "nobody counts it"
    assert units["a"].resources == ComputeResources(500, 1 << 30)
    assert units["b"].resources == ComputeResources(1500, 4 << 30)
    assert units["c"].resources == ComputeResources(500, 3 << 30)
    assert [units[name].seconds for name in "abc"] == [7, 1, 4]


def test_resources_that_are_no_quantities_name_file_and_line() -> None:
    asked = Asked(cpu="2 cores", lines=(("cpu", 7),))
    with pytest.raises(UsageError, match=r"a\.yaml:7: package\.resources\.cpu of a: '2 cores' is"):
        plan([package("a", resources=asked)])


def test_reasons_have_the_words_of_the_documentation() -> None:
    assert [reason.value for reason in Reason] == [
        "missing",
        "definition changed",
        "dependency rebuilt",
        "inputs changed",
        "second round",
        "asked for",
    ]


@st.composite
def distributions(draw: st.DrawFn) -> list[Package]:
    names = [f"p{n}" for n in range(draw(st.integers(1, 9)))]
    some = st.lists(st.sampled_from(names), max_size=3, unique=True).map(tuple)
    return [package(name, *draw(some), runtime=draw(some)) for name in names]


@given(distributions(), st.sets(st.sampled_from([f"p{n}" for n in range(9)])))
def test_whatever_the_graph_every_package_is_accounted_for_and_built_after_its_needs(
    packages: list[Package], available: set[str]
) -> None:
    made = plan(packages, Known(repository={name: {"0-r0"} for name in available}))
    order = simulate(made)
    stuck = {name for one in made.stuck for name in one.packages}
    everyone = sorted([*order, *stuck, *made.blocked])
    assert everyone == sorted(package.name for package in packages)
    by_name = {package.name: package for package in packages}
    dropped = {(one.package, one.name) for one in made.dropped}
    for place, name in enumerate(order):
        wanted = [one.name for one in by_name[name].environment]
        installed = {n for n in wanted if (name, n) not in dropped}
        todo = list(installed)
        while todo:
            for needed in by_name[todo.pop()].runtime:
                if needed not in installed:
                    installed.add(needed)
                    todo.append(needed)
        assert installed <= set(order[:place]), f"{name} is built before what it needs"
        assert all(n in available for n in wanted if (name, n) in dropped)
    if not available:
        assert not dropped
