"""Sketches of the graph: what is near, and what is left without lines that follow from others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dag.core.graph.graph import Graph
from dag.core.graph.sketch import Line, Sketch, make_sketch, nearest, reduced
from tests.core.graph.test_graph import package, repository


def sketch(**needs: str) -> Sketch:
    graph = Graph([package(name, *words.split()) for name, words in needs.items()])
    return make_sketch(graph, graph.packages)


def pairs(found: Sketch) -> set[tuple[str, str]]:
    return {(line.start, line.goal) for line in found.lines}


def names(found: Sketch) -> set[str]:
    return {one.name for one in found.packages} | set(found.externals)


def test_what_a_repository_gives_is_not_the_definition_of_the_same_name() -> None:
    definitions = [package("app", "foo"), package("foo", "lib"), package("lib")]
    graph = Graph(definitions, repository=repository("foo", "9-r0"))
    made = make_sketch(graph, graph.packages)
    assert made.externals == ("foo (from a repository)",)
    assert pairs(made) == {("app", "foo (from a repository)"), ("foo", "lib")}


def test_what_is_near_is_as_many_needs_away_as_was_asked() -> None:
    made = sketch(a="b", b="c outside", c="d", d="", user="a")
    assert names(nearest(made, ["a"], 0, dependents=False)) == {"a"}
    assert names(nearest(made, ["a"], 2, dependents=False)) == {"a", "b", "c", "outside"}
    assert names(nearest(made, ["c"], 2, dependents=True)) == {"c", "b", "a"}


def test_lines_that_follow_from_others_are_left_out() -> None:
    made = sketch(a="b c d", b="c", c="d", d="")
    assert pairs(reduced(made)) == {("a", "b"), ("b", "c"), ("c", "d")}


def test_lines_within_a_cycle_stay() -> None:
    made = sketch(a="b c", b="c", c="b d", d="")
    assert pairs(reduced(made)) >= {("b", "c"), ("c", "b"), ("c", "d")}


def reach(lines: set[tuple[int, int]], size: int) -> set[tuple[int, int]]:
    found = set(lines)
    for middle in range(size):
        found |= {
            (a, b) for a in range(size) for b in range(size)
            if (a, middle) in found and (middle, b) in found
        }  # fmt: skip
    return found


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_what_is_left_leads_to_the_same_and_none_of_it_could_go(
    lines: set[tuple[int, int]],
) -> None:
    made = Sketch(
        packages=tuple(package(str(number)) for number in range(7)),
        externals=(),
        lines=tuple(Line(str(a), str(b)) for a, b in sorted(lines)),
    )
    left = {(int(a), int(b)) for a, b in pairs(reduced(made))}
    all_ways = reach(lines, 7)
    assert left <= lines
    assert reach(left, 7) == all_ways
    for a, b in left:
        if (b, a) not in all_ways and (a, a) not in all_ways and (b, b) not in all_ways:
            assert (a, b) not in reach(left - {(a, b)}, 7)
