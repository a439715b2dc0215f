"""Algorithms on directed graphs, given as lists of successors by number; each takes O(V + E).

Numbers stand for names in sorted order, so that of two equal nodes the first by name is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

Successors = Sequence[Sequence[int]]
CYCLE_STEPS = 2_000_000
"""How many steps the search for short cycles may take, about one second."""


def components(successors: Successors) -> list[list[int]]:  # noqa: C901  # one walk, as published
    """Return the strongly connected components of several nodes, each sorted, by first member.

    Tarjan's algorithm, without recursion.
    """
    size = len(successors)
    index = [0] * size  # 0: not seen yet
    low = [0] * size
    done = bytearray(size)
    pending: list[int] = []
    found: list[list[int]] = []
    counter = 0
    for root in range(size):
        if index[root]:
            continue
        counter += 1
        index[root] = low[root] = counter
        pending.append(root)
        work = [(root, iter(successors[root]))]
        while work:
            node, rest = work[-1]
            for successor in rest:
                if not index[successor]:
                    counter += 1
                    index[successor] = low[successor] = counter
                    pending.append(successor)
                    work.append((successor, iter(successors[successor])))
                    break
                if not done[successor] and index[successor] < low[node]:
                    low[node] = index[successor]
            else:
                work.pop()
                if work and low[node] < low[work[-1][0]]:
                    low[work[-1][0]] = low[node]
                if low[node] == index[node]:
                    if pending[-1] == node:
                        pending.pop()
                        done[node] = 1
                    else:
                        start = len(pending) - 1
                        while pending[start] != node:
                            start -= 1
                        members = pending[start:]
                        del pending[start:]
                        for member in members:
                            done[member] = 1
                        found.append(sorted(members))
    return sorted(found)


def reachable(
    successors: Successors, starts: Iterable[int], closed: Container[int] = ()
) -> set[int]:
    """Return the nodes that `starts` lead to, themselves included, but not through `closed`."""
    seen = set(starts)
    stack = list(seen)
    while stack:
        for successor in successors[stack.pop()]:
            if successor not in seen and successor not in closed:
                seen.add(successor)
                stack.append(successor)
    return seen


def reverse(successors: Successors) -> list[list[int]]:
    """Return the graph with every edge turned around."""
    predecessors: list[list[int]] = [[] for _ in successors]
    for node, targets in enumerate(successors):
        for target in targets:
            predecessors[target].append(node)
    return predecessors


def topological(
    successors: Successors,
    predecessors: Successors,
    dropped: frozenset[tuple[int, int]] = frozenset(),
    *,
    counted: int | None = None,
) -> tuple[list[int], list[int]]:
    """Return an order with successors first, and each node's level.

    Of the nodes that are ready the smallest number is next. A node's level is the length of the
    longest path from it. `dropped` edges do not count. Nodes from the number `counted` on stand
    only for those behind them: they are not in the order, and a path is no longer for them.

    Raises:
        ValueError: there is a cycle without them.

    """
    waiting = [len(targets) for targets in successors]
    for node, _ in dropped:
        waiting[node] -= 1
    levels = [0] * len(successors)
    size = len(successors) if counted is None else counted
    ready = [node for node, count in enumerate(waiting[:size]) if not count]
    open_now = [node for node, count in enumerate(waiting) if node >= size and not count]
    heapify(ready)
    order: list[int] = []
    passed = 0
    while ready or open_now:
        if open_now:
            node = open_now.pop()
            level = levels[node]
            passed += 1
        else:
            node = heappop(ready)
            order.append(node)
            level = levels[node] + 1
        for user in predecessors[node]:
            if dropped and (user, node) in dropped:
                continue
            if levels[user] < level:  # noqa: PLR1730  # max() takes three times as long
                levels[user] = level
            waiting[user] -= 1
            if not waiting[user]:
                if user < size:
                    heappush(ready, user)
                else:
                    open_now.append(user)
    if len(order) + passed != len(successors):
        raise ValueError("the dropped edges leave a cycle in the graph")
    return order, levels


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
