"""Words on the command line: which stand for packages, and what is said of the others."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dag.core.graph.graph import Graph
from dag.errors import UsageError
from tests.core.graph.test_graph import build, names, package


def test_an_unknown_name_is_refused_with_the_closest() -> None:
    graph = build({"brotli": [], "zlib": []})
    for ask in (graph.closure, graph.order, graph.dependents):
        with pytest.raises(UsageError, match='package "brotly" not found in graph') as caught:
            ask(["zlib", "brotly"])
        assert caught.value.hint == "did you mean brotli?"
    with pytest.raises(UsageError) as caught:
        graph.closure(["zlip", "brotli", "brotly"])
    assert str(caught.value).splitlines() == [
        'package "zlip" not found in graph',
        'package "brotly" not found in graph',
    ]
    assert (
        caught.value.hint
        == "did you mean zlib instead of zlip? did you mean brotli instead of brotly?"
    )


@pytest.mark.parametrize(
    "word",
    [
        *("lib.yaml", "./lib.yaml", "package/lib", "packages/lib", "lib-1-r0.apk"),
        *("packages/x86_64/lib-1-r0.apk", "packages/x86_64/lib-dev-1-r0.apk"),
    ],
)
def test_paths_that_stand_for_a_package_are_taken_for_it(word: str) -> None:
    graph = Graph([package("lib", subpackages=["lib-dev"]), package("app")], arch="x86_64")
    assert names(graph.closure([word])) == ["lib"]


@pytest.mark.parametrize(
    "word",
    ["other/lib.yaml", "packages/aarch64/lib-1-r0.apk", "packages/x86_64/lib-2-r0.apk", "lib.yml"],
)
def test_paths_of_something_else_are_not(word: str) -> None:
    graph = Graph([package("lib")], arch="x86_64")
    with pytest.raises(UsageError, match="not found in graph") as caught:
        graph.closure([word])
    assert caught.value.hint == "did you mean lib?"


def test_a_file_of_another_name_stands_for_its_package() -> None:
    odd = replace(package("myapp"), file="melange.yaml")
    graph = Graph([odd, package("other")])
    for word in ("melange.yaml", "package/melange", "package/myapp", "myapp"):
        assert names(graph.closure([word])) == ["myapp"]


@pytest.mark.parametrize(
    ("word", "asked"),
    [
        ("zlib<2", "zlib"),
        ("zlib~1", "zlib"),
        ("zlib=1-r0", "zlib"),
        ("libz=7", "zlib"),
        ("so:z", ""),
    ],
)
def test_a_name_with_a_constraint_is_what_apko_would_choose(word: str, asked: str) -> None:
    graph = Graph([package("zlib", provides=["libz=7"]), package("app")])
    if asked:
        assert [one.name for one in graph.order([word])] == [asked]
    else:
        with pytest.raises(UsageError, match=f'package "{word}" not found in graph'):
            graph.order([word])


def test_what_satisfies_no_constraint_is_refused_with_what_there_is() -> None:
    graph = Graph([package("zlib", provides=["libz=7"])])
    for word, there in (("zlib>9", "zlib 1-r0"), ("libz=8", "libz")):
        with pytest.raises(UsageError, match=f'package "{word}" not found in graph') as caught:
            graph.order([word])
        assert caught.value.hint == f"ask for {there}, which zlib.yaml:2 gives"
