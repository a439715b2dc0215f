"""Packages that no build can make, because of what they need, and what a plan says of them."""

from __future__ import annotations

import pytest

from dag.core.build.known import Known
from dag.core.build.plan import Absence, BuildRequest, make_plan
from dag.core.graph.graph import Graph
from dag.core.package.model import BrokenDefinition
from dag.core.package.problems import FileProblem
from dag.errors import UsageError
from tests.core.build.test_plan import ALL, NOTHING, X86, package, plan, reasons


def test_a_definition_for_another_architecture_is_skipped_and_blocks_what_needs_it() -> None:
    packages = [
        package("a", only_for=("aarch64",), provides=("cmd:a",)),
        package("b", "cmd:a>1", "nowhere"),
        package("c", runtime=("a",)),
        package("d", "c"),
        package("e", "d", "only-for-e"),
        package("f"),
        package("only-for-e"),
    ]
    made = plan(packages)
    assert reasons(made) == {"c": "missing", "f": "missing", "only-for-e": "missing"}
    assert [(one.package.name, one.absence) for one in made.skipped] == [("a", Absence.OTHER_ARCH)]
    direct = "b needs cmd:a at b.yaml:5, but a.yaml:2 is not for x86_64"
    indirect = "c needs a at c.yaml:2, but a.yaml:2 is not for x86_64"
    assert made.unbuildable == {"b": direct, "d": indirect, "e": indirect}
    made = plan(packages, request=BuildRequest(packages=("e",)))
    assert not made.steps
    assert set(made.unbuildable) == {"d", "e"}
    made = plan(packages, Known(available=("a", "cmd:a")))
    assert not made.unbuildable
    assert set(reasons(made)) == {"b", "c", "d", "e", "f", "only-for-e"}


def test_a_plan_is_complete_if_all_that_was_asked_for_can_be_built() -> None:
    elsewhere = package("a", only_for=("aarch64",))
    assert plan([elsewhere, package("b")]).is_complete
    asked = BuildRequest(packages=("a",))
    assert not plan([elsewhere], request=asked).is_complete  # somebody has named it
    assert not plan([elsewhere, package("b", "a")]).is_complete
    assert not plan([package("go", "go")]).is_complete


def broken(name: str) -> BrokenDefinition:
    problem = FileProblem(f"{name}.yaml", 3, "it is broken", "mend it")
    return BrokenDefinition(f"{name}.yaml", (name,), (problem,))


def test_what_needs_a_broken_definition_is_left_out_unless_somebody_asks_for_it() -> None:
    packages = [
        package("a", "bad"),
        package("b", runtime=("bad",)),
        package("c", "b"),
        package("d", "c", "only-for-d"),
        package("e"),
        package("only-for-d"),
    ]
    graph = Graph(packages, arch=X86.apk, broken=[broken("bad")])
    made = make_plan(graph, X86, ALL, NOTHING)
    assert set(reasons(made)) == {"b", "e", "only-for-d"}
    assert [(one.package.name, one.absence, one.because) for one in made.skipped] == [
        ("a", Absence.STOPPED, "a needs bad at a.yaml:5, but the definition of that cannot be used, see bad.yaml:3"),
        ("c", Absence.STOPPED, "b needs bad at b.yaml:2, but the definition of that cannot be used, see bad.yaml:3"),
        ("d", Absence.STOPPED, "b needs bad at b.yaml:2, but the definition of that cannot be used, see bad.yaml:3"),
    ]  # fmt: skip
    assert not made.unbuildable
    asked = BuildRequest(packages=("e", "d"))
    with pytest.raises(UsageError, match=r"^b needs bad at b.yaml:2, .* see bad.yaml:3$"):
        make_plan(graph, X86, asked, NOTHING)
    lenient = BuildRequest(packages=("e", "d"), lenient=True)
    assert set(reasons(make_plan(graph, X86, lenient, NOTHING))) == {"e"}
    assert set(reasons(make_plan(graph, X86, BuildRequest(packages=("b",)), NOTHING))) == {"b"}
    rebuilt = BuildRequest(rebuild=frozenset(["e"]), rebuild_dependents=True)
    assert "a" not in reasons(make_plan(graph, X86, rebuilt, NOTHING))
