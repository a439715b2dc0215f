from __future__ import annotations

import json

from dag.core.arch import Arch
from dag.core.graph.affected import find_affected
from dag.core.graph.draw import Kind, describe, dot, lines
from dag.core.graph.graph import Graph
from dag.core.graph.sketch import make_sketch
from tests.core.graph.test_graph import names, package

ARCH = Arch.parse("arm64")


def graph() -> Graph:
    return Graph(
        [
            package("app", "lib-dev>=1", "tool", "elsewhere", version="1.10"),
            package("lib", "lib", subpackages=["lib-dev"]),
            package("tool", "app", provides=["cmd:tool"]),
        ]
    )


def test_each_kind_of_line() -> None:
    made = graph()
    chosen = made.order(["app"])
    assert lines(made, chosen, Kind.TARGET, ARCH) == ["packages/aarch64/app-1.10-r0.apk"]
    assert lines(made, chosen, Kind.NAME, ARCH) == ["app"]
    assert lines(made, chosen, Kind.VERSION, ARCH) == ["1.10-r0"]
    assert lines(made, chosen, Kind.NAME_VERSION, ARCH) == ["app-1.10-r0"]
    assert lines(made, chosen, Kind.MAKEFILE, ARCH) == ["$(eval $(call build-package,app,1.10-r0))"]


def test_json_has_every_dependency_and_marks_the_dropped() -> None:
    made = graph()
    found = {
        one["name"]: one for one in map(json.loads, lines(made, made.order(), Kind.JSON, ARCH))
    }
    assert found["app"]["dependencies"] == ["lib-dev", "tool", "elsewhere"]
    assert found["app"]["origins"] == ["lib", "tool"]
    assert found["app"]["external"] == ["elsewhere"]
    assert found["tool"]["dependencies"] == ["app"]
    assert found["tool"]["dropped"] == [
        {"name": "app", "origin": "app", "where": "tool.yaml:10", "kind": "environment"}
    ]
    assert found["lib"]["dropped"] == [
        {"name": "lib", "origin": "lib", "where": "lib.yaml:10", "kind": "environment"}
    ]
    assert found["app"]["needs"] == {"lib-dev>=1": "lib", "tool": "tool"}
    assert found["app"]["installs"] == ["lib", "tool"]
    assert found["lib"]["installs"] == []
    assert found["app"]["level"] == 1
    assert found["app"]["file"] == "app.yaml"


def test_an_edge_in_words() -> None:
    made = graph()
    assert describe(made.needs("app")[0]) == (
        "app needs lib-dev (of lib) at app.yaml:10, environment"
    )


def test_dot_has_each_package_and_need_once() -> None:
    made = graph()
    assert dot(make_sketch(made, made.closure(["tool"]))) == (
        'digraph "packages" {\n'
        "  rankdir=LR;\n"
        "  node [shape=box];\n"
        '  "app" [label="app 1.10-r0"];\n'
        '  "lib" [label="lib 1-r0"];\n'
        '  "tool" [label="tool 1-r0"];\n'
        '  "elsewhere" [style=dashed];\n'
        '  "app" -> "elsewhere";\n'
        '  "app" -> "lib";\n'
        '  "app" -> "tool";\n'
        '  "lib" -> "lib" [style=dashed];\n'
        '  "tool" -> "app" [style=dashed];\n'
        "}\n"
    )


def test_what_changed_files_affect() -> None:
    made = Graph(
        [
            package("a", "b", "gone"),
            package("b"),
            package("c"),
            package("d", "c", reason="uses own/step"),
        ]
    )
    assert names(find_affected(made, ["b.yaml"], []).packages) == ["b", "a"]
    assert names(find_affected(made, ["c/patch.diff"], []).packages) == ["c", "d"]
    assert find_affected(made, ["gone.yaml"], []).reasons == {}
    before = {"gone.yaml": package("gone"), "b.yaml": package("b")}
    assert find_affected(made, ["gone.yaml"], [], before).reasons == {"a": ["gone.yaml"]}
    assert find_affected(made, ["../x", "c"], []).unrelated == ()
    assert find_affected(made, ["README.md", "x/y", "new.yaml"], []).unrelated == (
        "README.md",
        "new.yaml",
        "x/y",
    )
