"""What is stopped by a broken definition, and what is not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dag.core.arch import Arch
from dag.core.graph.foreign import foreign_needs
from dag.core.graph.graph import Graph
from dag.core.package.model import BrokenDefinition
from dag.core.package.problems import FileProblem
from dag.errors import UsageError
from tests.core.graph.test_graph import names, package, repository


def broken(name: str, *more: str) -> BrokenDefinition:
    problem = FileProblem(f"{name}.yaml", 3, "it is broken", "mend it")
    return BrokenDefinition(f"{name}.yaml", (name, *more), (problem,))


def test_what_needs_a_broken_definition_is_stopped_and_so_is_what_needs_that() -> None:
    packages = [
        package("a", "b"),
        package("b", "bad-dev>1", "gone"),
        package("c"),
        package("d", "c"),
    ]
    graph = Graph(packages, broken=[broken("bad", "bad-dev")])
    assert graph.stopped() == {"a", "b"}
    assert graph.stopped(there=["b"]) == frozenset()
    assert str(graph.broken_needs["b"]) == (
        "b needs bad-dev at b.yaml:10, but the definition of that cannot be used, see bad.yaml:3"
    )
    assert graph.externals == {"gone": ["b"]}
    assert names(graph.closure(["d"])) == ["c", "d"]
    assert names(graph.closure(["a"], ["b"])) == ["a"]
    with pytest.raises(UsageError, match=r"b needs bad-dev at b\.yaml:10"):
        graph.closure(["a"])
    for asked in ("bad-dev", "bad", "bad.yaml"):
        with pytest.raises(
            UsageError, match=f"definition of {asked} cannot be used, see bad.yaml:3"
        ):
            graph.closure([asked])


def test_what_is_installed_with_a_broken_need_at_run_time_stops_its_users_only() -> None:
    packages = [
        package("app", "tool"),
        package("lib", subpackages=["lib-dev"], runtime=["bad>1"]),
        package("tool", runtime=["lib"]),
        package("user", "app"),
    ]
    graph = Graph(packages, broken=[broken("bad")])
    assert graph.stopped() == {"app", "user"}
    words = "lib needs bad at lib.yaml:2, but the definition of that cannot be used, see bad.yaml:3"
    assert {name: str(need) for name, need in graph.broken_needs.items()} == {"app": words}
    assert graph.stopped(there=["app"]) == frozenset()
    assert names(graph.closure(["tool"])) == ["tool"]
    with pytest.raises(UsageError, match=r"lib needs bad at lib\.yaml:2"):
        graph.closure(["user"])


def test_nothing_follows_from_what_a_package_that_is_there_needs() -> None:
    packages = [
        package("app", "tool"),
        package("direct", "lib"),
        package("lib", "bad"),
        package("tool", runtime=["lib"]),
    ]
    graph = Graph(packages, broken=[broken("bad")])
    assert graph.stopped() == {"app", "direct", "lib"}
    assert graph.stopped(there=["tool"]) == {"direct", "lib"}


def test_what_something_else_gives_is_not_stopped_by_a_broken_definition() -> None:
    packages = [package("a", "x"), package("b", "y"), package("sound", provides=["x=1"])]
    graph = Graph(packages, broken=[broken("bad", "x", "y")], repository=repository("y"))
    assert graph.stopped() == frozenset()


def test_what_only_a_definition_for_another_architecture_gives_is_found_at_run_time_too() -> None:
    foreign = replace(
        package("arm", "gone", provides=["cmd:arm"]), target_architecture=("aarch64",)
    )
    packages = [
        foreign,
        package("app", "tool"),
        package("direct", "cmd:arm"),
        package("sound", "other"),
        package("tool", runtime=["arm>1"]),
        package("twin", provides=["other"]),
        replace(package("other"), target_architecture=("aarch64",)),
    ]
    graph = Graph(packages, arch="x86_64")
    found = foreign_needs(graph, Arch.parse("x86_64"))
    assert {name: str(need) for name, need in found.items()} == {
        "app": "tool needs arm at tool.yaml:2, but arm.yaml:2 is not for x86_64",
        "direct": "direct needs cmd:arm at direct.yaml:10, but arm.yaml:2 is not for x86_64",
    }
    assert names(graph.closure(["sound"])) == ["twin", "sound"]
    listed = Graph(packages, arch="x86_64", repository=repository("arm", "2-r0"))
    assert set(foreign_needs(listed, Arch.parse("x86_64"))) == {"direct"}
