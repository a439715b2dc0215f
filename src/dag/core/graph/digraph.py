"""Algorithms on directed graphs, given as lists of successors by number; each takes O(V + E).

Numbers stand for names in sorted order, so that of two equal nodes the first by name is taken.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import compress

from dag.core.components import strongly_connected

Successors = Sequence[Sequence[int]]
CYCLE_STEPS = 2_000_000
"""How many steps the search for short cycles may take, about one second."""


def components(successors: Successors) -> list[list[int]]:
    """Return the strongly connected components of several nodes, each sorted, by first member."""
    return sorted(sorted(one) for one in strongly_connected(successors) if len(one) > 1)


def reachable(
    successors: Successors, starts: Iterable[int], closed: Container[int] = ()
) -> set[int]:
    """Return the nodes that `starts` lead to, themselves included, but not through `closed`."""
    seen = bytearray(len(successors))  # not a set, because that is all over the memory
    stack = list(starts)
    for node in stack:
        seen[node] = 1
    while stack:
        for successor in successors[stack.pop()]:
            if not seen[successor] and successor not in closed:
                seen[successor] = 1
                stack.append(successor)
    return set(compress(range(len(seen)), seen))


def reverse(successors: Successors) -> list[list[int]]:
    """Return the graph with every edge turned around."""
    predecessors: list[list[int]] = [[] for _ in successors]
    for node, targets in enumerate(successors):
        for target in targets:
            predecessors[target].append(node)
    return predecessors


def topological(
    successors: Successors, *, counted: int | None = None
) -> tuple[list[int], list[int]]:
    """Return an order with successors first, and each node's level.

    Of the nodes that are ready the smallest number is next. A node's level is the length of the
    longest path from it. Nodes from the number `counted` on stand only for those behind them: they
    are not in the order, and a path is no longer for them.

    Raises:
        ValueError: there is a cycle.

    """
    size = len(successors)
    counted = size if counted is None else counted
    done = bytearray(size)
    reach = [0] * size  # the length of the longest path that goes on from a node, with its own step
    # A node waits for one of its successors at a time, the last one first, because that is likely
    # to be done last. So hardly anybody waits twice.
    rest = [*map(reversed, successors)]
    # Who waits for a node: the last that came, and behind each the one that came before it.
    waiting = array("i", [-1]) * size
    before = array("i", [-1]) * size
    awake = list(range(size))
    ready: list[int] = []
    order: list[int] = []
    while awake or ready:
        while awake:
            node = awake.pop()
            for successor in rest[node]:
                if not done[successor]:
                    before[node] = waiting[successor]
                    waiting[successor] = node
                    break
            else:
                heappush(ready, node if node < counted else node - size)  # the others go first
        if ready:
            node = heappop(ready)
            step = 0
            if node >= 0:
                order.append(node)
                step = 1
            reach[node] = step + max(map(reach.__getitem__, successors[node]), default=0)
            done[node] = 1
            user = waiting[node]
            while user >= 0:
                awake.append(user)
                user = before[user]
    if 0 in done:
        raise ValueError("the graph has a cycle")
    return order, [length - (node < counted) for node, length in enumerate(reach)]


def shortest_path(
    successors: Successors | Mapping[int, Sequence[int]], start: int, goal: int
) -> list[int] | None:
    """Return the nodes of a shortest way from `start` to `goal`, or None; a cycle if both are one."""
    came: dict[int, int] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for successor in successors[node]:
            if successor == goal:
                way = [goal, node]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if successor not in came and successor != start:
                came[successor] = node
                queue.append(successor)
    return None


def short_cycles(members: Sequence[int], successors: Successors, limit: int) -> list[list[int]]:
    """Return up to `limit` of the shortest cycles among `members`, each from its smallest node.

    Cycles of two nodes are looked for first. If there is none, a shortest one through each node is
    looked for, until `CYCLE_STEPS` are taken; some of the rest may then be shorter.
    """
    inside = set(members)
    needs = {node: [t for t in successors[node] if t in inside] for node in members}
    sets = {node: set(targets) for node, targets in needs.items()}
    pairs = [
        [node, target]
        for node in members
        for target in needs[node]
        if node < target and node in sets[target]
    ]
    if pairs:
        return sorted(pairs)[:limit]
    size = len(members) + sum(map(len, needs.values()))
    found: set[tuple[int, ...]] = set()
    for node in members[: max(1, CYCLE_STEPS // size)]:
        way = shortest_path(needs, node, node)
        if way:
            cycle = way[:-1]
            first = cycle.index(min(cycle))
            found.add((*cycle[first:], *cycle[:first]))
    shortest = min(map(len, found), default=0)
    return [list(cycle) for cycle in sorted(found) if len(cycle) == shortest][:limit]
