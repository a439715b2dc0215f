"""Environments that ask other repositories: what there is differs from one to the other."""

from __future__ import annotations

from dataclasses import replace

from dag.core.arch import Arch
from dag.core.build.known import Known
from dag.core.build.plan import BuildRequest, make_plan
from dag.core.graph.graph import Graph
from dag.core.graph.remarks import find_choices
from dag.core.package.apkindex import IndexEntry, PackageRepository
from dag.core.package.model import Need, Package

ARCH = Arch.parse("x86_64")


def package(name: str, *needs: str, runtime: tuple[str, ...] = ()) -> Package:
    return Package(
        name=name,
        version="1",
        epoch=0,
        file=f"{name}.yaml",
        line=2,
        environment=tuple(Need(text, f"{name}.yaml", 5, "environment") for text in needs),
        runtime=runtime,
    )


def entry(name: str, version: str, *depends: str, place: str = "https://r.example") -> IndexEntry:
    return IndexEntry(name, version, name, depends, (), repository=place)


def test_each_environment_has_what_its_own_repositories_list() -> None:
    own = PackageRepository([entry("lib", "2-r0"), entry("tool", "3-r0", "lib")])
    graph = Graph(
        [package("lib"), package("a", "tool"), package("b", "tool", "lib")], own={"a": own}
    )
    assert graph.installed("a") == []
    assert graph.installed("b") == ["lib"]
    assert graph.missing({"a", "b"}) == {"tool": ["b"]}
    assert [(edge.wanted, edge.is_ours) for edge in graph.needs("a")] == [("tool", False)]
    assert graph.supply_of("a").available == {"lib", "tool"}
    assert graph.supply_of("b").available == frozenset()
    assert graph.provider_for("a")("lib") is None
    assert graph.provider_for("b")("lib") == "lib"


def test_what_all_can_have_is_there_for_those_that_ask_more() -> None:
    common = PackageRepository([entry("make", "4-r0")])
    own = PackageRepository([*common.entries, entry("cc", "1-r0")])
    graph = Graph(
        [package("a", "make", "cc"), package("b", "make", "cc")], repository=common, own={"a": own}
    )
    assert graph.missing({"a", "b"}) == {"cc": ["b"]}
    assert graph.available == {"make"}


def test_a_tag_is_for_needs_that_have_it() -> None:
    own = PackageRepository([replace(entry("lib", "9-r0"), pin="edge")])
    packages = [
        package("lib"),
        package("a", "lib"),
        package("b", "lib@edge"),
        package("c", "lib@other"),
    ]
    graph = Graph(packages, own=dict.fromkeys("abc", own))
    assert [graph.installed(name) for name in "abc"] == [["lib"], [], ["lib"]]


def test_choices_are_told_for_each_environment() -> None:
    own = PackageRepository([entry("lib", "2-r0")])
    graph = Graph([package("lib"), package("a", "lib"), package("b", "lib")], own={"a": own})
    (taken,) = find_choices(graph, {"a", "b"})
    assert (taken.chosen, taken.others) == ("lib-2-r0", ("lib-1-r0",))


def test_a_cycle_opens_only_for_who_asks_the_repository() -> None:
    packages = [package("cc", "libc"), package("libc", "cc")]
    has_cc = PackageRepository([entry("cc", "0-r0"), entry("libc", "0-r0")])

    def plan(**own: PackageRepository) -> tuple[list[str], list[tuple[str, str]]]:
        made = make_plan(Graph(packages, own=own), ARCH, BuildRequest(), Known())
        order = [step.package.name for step in made.steps]
        return order, [(one.package, one.name) for one in made.dropped]

    assert plan() == ([], [])
    assert plan(libc=has_cc) == (["libc", "cc"], [("libc", "cc")])
    assert plan(cc=has_cc) == (["cc", "libc"], [("cc", "libc")])


def test_gates_of_units_that_ask_other_repositories_are_told_apart() -> None:
    # `lib` needs `zstuff` at run time: that is ours for one, and the repository's for the other.
    packages = [
        package("lib", runtime=("zstuff", "more")),
        package("zstuff"),
        package("more"),
        package("a", "lib"),
        package("b", "lib"),
    ]
    own = PackageRepository([entry("zstuff", "2-r0")])
    made = make_plan(Graph(packages, own={"a": own}), ARCH, BuildRequest(), Known())
    needs = {unit.key: set(unit.needs) for unit in made.units}

    def behind(name: str) -> set[str]:
        found: set[str] = set()
        for need in needs[name]:
            found |= {need} if not need.startswith("@") else behind(need)
        return found

    assert behind("a") == {"lib", "more"}
    assert behind("b") == {"lib", "more", "zstuff"}
