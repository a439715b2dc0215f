from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dag.core.components import strongly_connected

graphs = st.integers(1, 8).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, size - 1), max_size=3), min_size=size, max_size=size
    )
)


def reached(graph: list[list[int]], start: int) -> set[int]:
    found = {start}
    stack = [start]
    while stack:
        new = set(graph[stack.pop()]) - found
        found |= new
        stack += new
    return found


@given(graphs)
def test_nodes_are_together_if_each_leads_to_the_other(graph: list[list[int]]) -> None:
    found = list(strongly_connected(graph))
    assert sorted(node for one in found for node in one) == list(range(len(graph)))
    place = {node: number for number, one in enumerate(found) for node in one}
    for one in range(len(graph)):
        for other in range(len(graph)):
            both = other in reached(graph, one) and one in reached(graph, other)
            assert (place[one] == place[other]) == both
            if other in reached(graph, one):
                assert place[other] <= place[one]


def test_a_chain_of_any_length_needs_no_recursion() -> None:
    size = 5000
    found = strongly_connected([[node + 1] if node + 1 < size else [] for node in range(size)])
    assert list(found) == [[node] for node in reversed(range(size))]
