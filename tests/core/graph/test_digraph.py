from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.graph import digraph


@st.composite
def acyclic(draw: st.DrawFn) -> list[list[int]]:
    size = draw(st.integers(1, 9))
    places = draw(st.permutations(range(size)))
    graph: list[list[int]] = [[] for _ in places]
    for place, node in enumerate(places[1:], 1):
        graph[node] = sorted(draw(st.sets(st.sampled_from(places[:place]), max_size=4)))
    return graph


@given(acyclic(), st.data())
def test_of_all_nodes_that_are_ready_the_smallest_is_next(
    graph: list[list[int]], data: st.DataObject
) -> None:
    counted = data.draw(st.integers(0, len(graph)))
    order, levels = digraph.topological(graph, counted=counted)
    done: set[int] = set()
    expected: list[int] = []
    while len(done) < len(graph):
        ready = [n for n in range(len(graph)) if n not in done and done.issuperset(graph[n])]
        node = next((one for one in ready if one >= counted), ready[0])
        done.add(node)
        expected += [node] if node < counted else []
    assert order == expected

    def longest(node: int) -> int:
        return max((longest(one) + (one < counted) for one in graph[node]), default=0)

    assert levels == [longest(node) for node in range(len(graph))]


def test_a_cycle_has_no_order() -> None:
    with pytest.raises(ValueError, match="cycle"):
        digraph.topological([[], [2], [0, 1]])
