"""Which package a need stands for, as apko chooses, and what comes with it at run time."""

from __future__ import annotations

import pytest

from dag.core.graph.graph import Graph
from dag.core.graph.remarks import find_choices, find_offers, find_refusals
from dag.core.package.model import Package
from tests.core.graph.test_graph import names, package, repository


def test_the_provider_with_the_highest_priority_then_version_then_name() -> None:
    def chosen(*providers: Package) -> str:
        graph = Graph([*providers, package("user", "virtual")])
        (taken,) = find_choices(graph, {"user"})
        assert {taken.chosen, *taken.others} == {f"{one.name}-1-r0" for one in providers}
        (edge,) = graph.needs("user")
        assert (edge.provider, taken.chosen) == (edge.origin, f"{edge.origin}-1-r0")
        reasons.append(taken.why)
        return edge.origin

    reasons: list[str] = []

    assert (
        chosen(package("a", provides=["virtual=9"]), package("b", provides=["virtual"], priority=1))
        == "b"
    )
    assert (
        chosen(package("a", provides=["virtual=1.9"]), package("b", provides=["virtual=1.10"]))
        == "b"
    )
    assert chosen(package("a", provides=["virtual=1"]), package("b", provides=["virtual=1"])) == "a"
    assert reasons == [
        "its provider-priority is higher",
        "its version of that name is higher",
        "all else is equal and its name comes first",
    ]


def test_the_version_of_a_name_goes_before_the_package_that_has_the_name() -> None:
    graph = Graph(
        [package("real"), package("other", provides=["real=99"]), package("user", "real")]
    )
    # Whoever names a package means that one; a need means what apko takes.
    assert names(graph.closure(["real"])) == ["real"]
    assert names(graph.closure(["user"])) == ["other", "user"]
    assert find_choices(graph, {"real", "other"}) == []


def test_a_constraint_is_part_of_the_choice() -> None:
    graph = Graph(
        [
            package("rt-1", provides=["rt=1.9"]),
            package("rt-2", provides=["rt=2.3"], version="2.3"),
            package("old", "rt<2"),
            package("new", "rt"),
            package("both", "rt", "rt<2"),
        ]
    )
    assert names(graph.closure(["old"])) == ["rt-1", "old"]
    assert names(graph.closure(["new"])) == ["rt-2", "new"]
    assert [edge.origin for edge in graph.needs("both")] == ["rt-2", "rt-1"]
    assert graph.provider_for("old")("rt<2") == "rt-1"


def test_a_chain_of_compilers_is_no_cycle() -> None:
    chain = [
        package(f"comp-{n}", *[f"comp~{n - 1}"][: n - 1], provides=[f"comp={n}.0"])
        for n in (1, 2, 3)
    ]
    graph = Graph(chain)
    assert names(graph.order()) == ["comp-1", "comp-2", "comp-3"]
    assert graph.components() == []
    assert graph.dropped_edges == ()


def test_a_constraint_that_nothing_satisfies_is_external_and_said_with_what_there_is() -> None:
    graph = Graph([package("app", "asm<3"), package("asm", version="3.0.1")])
    (edge,) = graph.needs("app")
    assert (edge.origin, edge.is_ours) == ("asm<3", False)
    assert names(graph.closure(["app"])) == ["app"]
    assert graph.missing({"app"}) == {"asm<3": ["app"]}
    assert find_offers(graph, "asm<3") == ("asm-3.0.1-r0",)
    assert graph.needs_by_text("app") == {"asm<3": None}
    assert graph.installed("app") is None
    assert find_refusals(graph, {"app"}) == []
    # A repository may have the older one.
    old = Graph(graph.packages, repository=repository("asm", "2-r0"))
    assert old.missing({"app"}) == {}
    assert names(old.closure(["app"])) == ["app"]
    assert old.needs_by_text("app") == {}


def test_giving_up_is_told_with_the_need_and_what_there_is() -> None:
    graph = Graph(
        [package("app", "lib"), package("lib", runtime=["asm<3"]), package("asm", version="3.0.1")]
    )
    (refusal,) = find_refusals(graph, {"app", "lib"})
    assert (refusal.package, refusal.gave_up.constraint) == ("app", "asm<3")
    assert (refusal.by, refusal.there) == (("lib-1-r0",), ("asm-3.0.1-r0",))
    assert graph.installed("app") is None
    assert names(graph.closure(["app"])) == ["lib", "app"]
    conflict = Graph([package("app", "lib", "!lib"), package("lib")])
    (refusal,) = find_refusals(conflict, {"app"})
    assert refusal.gave_up.constraint == "lib"


def test_what_an_installed_package_needs_at_run_time_is_needed() -> None:
    graph = Graph(
        [
            package("app", "lib-dev"),
            package("lib", subpackages=["lib-dev"], runtime=["zstuff"]),
            package("zstuff"),
        ]
    )
    assert names(graph.closure(["app"])) == ["lib", "zstuff", "app"]
    assert names(graph.dependents(["zstuff"])) == ["zstuff", "app"]
    (edge,) = graph.path("app", "zstuff") or []
    assert (edge.through, edge.kind) == (("lib-dev", "zstuff"), "run time")
    assert graph.path("lib", "zstuff") is None
    assert graph.installed("app") == ["lib", "zstuff"]
    assert [edge.origin for edge in graph.runtime_needs("app")] == ["zstuff"]


def test_what_apko_takes_because_of_another_need_is_what_is_needed() -> None:
    graph = Graph(
        [
            package("app", "x", "y"),
            package("a", provides=["virtual=1"]),
            package("b", provides=["virtual=2"]),
            package("x", runtime=["a"]),
            package("y", runtime=["virtual"]),
            package("plain", "y"),
        ]
    )
    # b goes before a, unless a is there already.
    assert graph.installed("plain") == ["b", "y"]
    assert graph.installed("app") == ["a", "x", "y"]
    assert names(graph.closure(["app"])) == ["a", "x", "y", "app"]
    assert graph.path("app", "b") is None
    assert graph.settled("app") == ["a=1-r0", "x=1-r0", "y=1-r0"]
    assert graph.settled("plain") == []


def test_packages_that_need_each_other_at_run_time_are_no_cycle() -> None:
    graph = Graph([package("a", runtime=["b"]), package("b", runtime=["a"]), package("c", "a")])
    assert graph.dropped_edges == ()
    assert names(graph.order()) == ["a", "b", "c"]
    # Through a build it is one.
    closed = Graph([package("a", "c", runtime=["b"]), package("b"), package("c", "a")])
    (component,) = closed.components()
    assert names(component.packages) == ["a", "c"]
    selfish = Graph([package("a", "b"), package("b", runtime=["a"])])
    (loop,) = selfish.self_loops()
    assert loop.through == ("b", "a")
    assert names(selfish.order()) == ["b", "a"]


def test_what_a_repository_has_need_not_be_built_nor_what_only_that_needs() -> None:
    graph = Graph(
        [package("app", "lib"), package("lib", runtime=["more"]), package("more"), package("rest")]
    )
    assert names(graph.closure(["app"])) == ["lib", "more", "app"]
    assert names(graph.closure(["app"], {"lib"})) == ["app"]
    assert names(graph.closure(["app", "lib"], {"lib"})) == ["lib", "more", "app"]
    assert names(graph.closure(["app"], {"more"})) == ["lib", "app"]


@pytest.mark.parametrize(("version", "giver"), [("2", "b"), ("0", "a"), ("1", "b")])
def test_of_two_packages_of_one_name_the_higher_version_counts_then_the_later_file(
    version: str, giver: str
) -> None:
    both = [package("a", subpackages=["x"]), package("b", subpackages=["x"], version=version)]
    for packages in (both, both[::-1]):
        graph = Graph([*packages, package("user", "x")])
        assert [edge.origin for edge in graph.needs("user")] == [giver]
        assert names(graph.closure(["user"])) == [giver, "user"]


def test_a_definition_keeps_its_name_where_another_ones_subpackage_counts() -> None:
    graph = Graph([package("a", "z"), package("b", subpackages=["a"], version="2"), package("z")])
    assert [edge.origin for edge in graph.needs("a")] == ["z"]
    assert names(graph.closure(["a"])) == ["z", "a"]
    assert names(graph.order()) == ["b", "z", "a"]
