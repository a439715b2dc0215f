"""Plans for several architectures: each is whole, and says what is not for it."""

from __future__ import annotations

from dag.core.arch import Arch
from dag.core.build.events import ComputeResources
from dag.core.build.known import Known
from dag.core.build.plan import BuildRequest, make_plan
from dag.core.build.resources import resources_of_flags
from dag.core.build.states import RunLimits
from dag.core.build.summary import summarize
from dag.core.graph.graph import Graph
from dag.core.package.model import DeclaredResources
from dag.report.plan import LimitedPlan, plan_lines, plans_json, too_large_lines
from tests.core.build.test_plan import package
from tests.support.schema import checked


def planned(arch: str) -> LimitedPlan:
    packages = [package("lib"), package("intel", "lib", only_for=("x86_64",))]
    chosen = Arch.parse(arch)
    graph = Graph(packages, arch=chosen.apk)
    plan = make_plan(graph, chosen, BuildRequest(), Known())
    return LimitedPlan(plan, RunLimits(jobs=4), summarize(plan))


def test_each_architecture_has_a_plan_of_its_own() -> None:
    text = plans_json([planned("aarch64"), planned("x86_64")], exit_code=1)
    arm, intel = checked(text, "plans")["plans"]
    assert (arm["arch"], intel["arch"]) == ("aarch64", "x86_64")
    assert (arm["levels"], intel["levels"]) == ([["lib"]], [["lib"], ["intel"]])
    assert [one["why"] for one in arm["skipped"]] == ["not for this architecture"]


def test_units_that_ask_for_more_than_the_machine_has_are_told() -> None:
    large = DeclaredResources(cpu="1000", memory="900Gi")
    packages = [package("big", resources=large), package("one")]
    graph = Graph(packages, arch="x86_64")

    def told(limits: RunLimits, ram: str = "2Gi") -> list[str]:
        request = BuildRequest(resources=resources_of_flags("1", ram))
        plan = make_plan(graph, Arch.parse("x86_64"), request, Known())
        return [*too_large_lines(plan, limits)]

    machine = RunLimits(jobs=4, capacity=ComputeResources(4000, 8 << 30))
    (line,) = told(machine)
    assert line == (
        "big asks for more than the 4 CPUs and 8,192 MiB of this machine (big: 1000 CPUs and 921,600"
        " MiB): it is built while nothing else is, with all that there is"
    )
    (line,) = told(machine, "9Gi")
    assert line.startswith("big and 1 more ask for more than the 4 CPUs and 8,192 MiB")
    assert "each is built while nothing else is" in line
    assert told(RunLimits(jobs=4)) == []  # nodes of a cluster are judged elsewhere
    assert told(RunLimits(jobs=4, capacity=ComputeResources(1_000_000, 900 << 30))) == []


def test_a_plan_says_how_much_of_its_time_is_a_guess() -> None:
    packages = [package("lib"), package("app", "lib")]
    graph = Graph(packages, arch="x86_64")

    def last(**seconds: float) -> str:
        known = Known(seconds=seconds)
        plan = make_plan(graph, Arch.parse("x86_64"), BuildRequest(), known)
        return [*plan_lines(LimitedPlan(plan, RunLimits(jobs=4), summarize(plan)))][-1]

    assert last() == "nothing of this was ever built here, so the time is a guess"
    assert last(lib=2.0) == "1 package never built here, so the time is partly a guess"
    assert last(lib=2.0, app=3.0).startswith("expected: 5.0s with 4 jobs")
