"""What opens the cycles of a plan."""

from __future__ import annotations

from dag.core.build.bootstrap import Holder
from dag.core.build.known import Known
from dag.core.build.openings import Opening, find_openings
from dag.core.build.plan import BuildRequest
from dag.core.graph.graph import Graph
from dag.report.words import closing_words, stuck_words
from tests.core.build.test_plan import ALL, CYCLE, X86, package, plan, stored, sub


def openings(known: Known, request: BuildRequest = ALL) -> list[Opening]:
    graph = Graph(CYCLE, arch=X86.apk)
    return find_openings(graph, plan(CYCLE, known, request), known.repository, known.stored)


NEED = "c needs b at c.yaml:5, environment"


def test_a_repository_opens_a_cycle_with_a_package_that_is_built_as_well() -> None:
    assert openings(Known(repository={"b": {"0-r0"}})) == [
        Opening("c", "b", Holder.REPOSITORY, NEED)
    ]


def test_what_is_there_already_opens_a_cycle_and_is_told_with_who_has_it() -> None:
    assert openings(Known(stored=stored("b"))) == [Opening("c", "b", Holder.STORE, NEED)]
    assert openings(Known(repository={"b": {"1-r0"}})) == [
        Opening("c", "b", Holder.REPOSITORY, NEED)
    ]
    assert openings(Known(stored=stored("a", "b", "c"))) == []


def test_what_is_not_there_opens_nothing() -> None:
    assert openings(Known()) == []
    only = BuildRequest(packages=("c",), only=True)
    assert openings(Known(), only) == []
    assert openings(Known(stored=stored("b")), only) == [Opening("c", "b", Holder.STORE, NEED)]


def test_a_need_outside_of_a_cycle_is_none_of_them() -> None:
    packages = [package("lib"), package("app", "lib")]
    graph = Graph(packages, arch=X86.apk)
    assert find_openings(graph, plan(packages, Known(stored=stored("lib"))), {}, ["lib"]) == []


def test_a_package_that_needs_itself_through_others_is_told_with_them_and_the_line() -> None:
    packages = [
        package("greet-all", "greeter", subpackages=(sub("greet-all-doc", "greeter"),)),
        package("greeter", "libgreet", runtime=("libgreet",)),
        package("libgreet", "greet-all-doc"),
    ]
    (stuck,) = plan(packages).stuck
    assert stuck.packages == ("greet-all", "greeter", "libgreet")
    assert stuck.cycles[0] == ("libgreet", "greet-all", "greeter")
    assert stuck_words(stuck) == "a cycle of 3 packages cannot be built"
    assert closing_words(stuck) == (
        "libgreet → greet-all → greeter → libgreet; libgreet needs greet-all-doc at libgreet.yaml:5,"
        " environment; greet-all-doc needs greeter, greeter needs libgreet at run time"
    )
    (stuck,) = plan([package("go", "go")]).stuck
    assert stuck_words(stuck) == "go cannot be built, because it needs itself"
    assert closing_words(stuck) == "go → go; go needs go at go.yaml:5, environment"
