"""Places to open cycles at: a small set of edges to drop, a small set of packages to bootstrap.

A component is peeled from outside in, in O(E log V): a node that needs nothing any more, or that
nothing needs, is taken off. If there is no such node, a heap says which one to take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from heapq import heapify, heappop, heappush

from dag.core.graph.digraph import Successors

GIVE_BACK = 300
"""How many chosen nodes are each tried again, because that takes the square of their number."""
CLOSING = 2000
"""The largest component that gets the exact rule; Wolfi's has 410 of its 3,401 packages."""


class _Peel:
    """A component that is being peeled: the nodes that are left, their needs and their users."""

    def __init__(self, members: Sequence[int], successors: Successors) -> None:
        inside = set(members)
        self.needs = {node: [t for t in successors[node] if t in inside] for node in members}
        self.users: dict[int, list[int]] = {node: [] for node in members}
        for node in members:
            for target in self.needs[node]:
                self.users[target].append(node)
        self.open_needs = {node: len(self.needs[node]) for node in members}
        self.open_users = {node: len(self.users[node]) for node in members}
        self.left = inside
        held = (node for node in members if not (self.open_needs[node] and self.open_users[node]))
        self.free = deque(sorted(held))

    def remove(self, node: int, changed: Callable[[int, int, int], None]) -> None:
        """Take `node` off; call `changed` with (neighbour, the edge's user, the edge's need)."""
        self.left.discard(node)
        for need in self.needs[node]:
            if need in self.left:
                self.open_users[need] -= 1
                if not self.open_users[need]:
                    self.free.append(need)
                changed(need, node, need)
        for user in self.users[node]:
            if user in self.left:
                self.open_needs[user] -= 1
                if not self.open_needs[user]:
                    self.free.append(user)
                changed(user, user, node)


def edges(
    members: Sequence[int], successors: Successors, weight: Callable[[int, int], int]
) -> list[tuple[int, int]]:
    """Return edges without which `members` have no cycle, light ones rather than heavy ones.

    Up to `CLOSING` members, the rule is that of the original program, but by name and not by the
    order of files: edges are laid down one after the other, heavy ones first, and an edge that
    closes a cycle is dropped. That takes the square of the number of members, so larger components
    get a linear heuristic.
    """
    if len(members) > CLOSING:
        return heuristic_edges(members, successors, weight)
    place = {node: number for number, node in enumerate(members)}
    reach = [1 << number for number in range(len(members))]  # the nodes that each reaches, as bits
    tiers: dict[int, dict[int, list[int]]] = {}
    for node in members:
        for target in successors[node]:
            if target in place:
                tiers.setdefault(weight(node, target), {}).setdefault(node, []).append(target)
    dropped: list[tuple[int, int]] = []
    for _, tier in sorted(tiers.items(), reverse=True):
        for node, targets in tier.items():
            own = 1 << place[node]
            gained = 0
            for target in targets:
                if reach[place[target]] & own:
                    dropped.append((node, target))
                else:
                    gained |= reach[place[target]]
            if gained & ~reach[place[node]]:
                reach = [bits | gained if bits & own else bits for bits in reach]
    return sorted(dropped)


def heuristic_edges(
    members: Sequence[int], successors: Successors, weight: Callable[[int, int], int]
) -> list[tuple[int, int]]:
    """Return a few edges without which `members` have no cycle, in O(E log V).

    This is the heuristic of Eades, Lin and Smyth (1993, "A fast and effective heuristic for the
    feedback arc set problem") with weights: a node that waits for nothing goes to the front, one
    that nothing waits for goes to the back. If there is neither, the node whose users weigh most
    against its own needs goes to the front, before these needs.
    """
    peel = _Peel(members, successors)
    weights = {(node, to): weight(node, to) for node in members for to in peel.needs[node]}
    gain = dict.fromkeys(members, 0)
    for (node, target), cost in weights.items():
        gain[target] += cost
        gain[node] -= cost
    heap = [(-gain[node], node) for node in members]
    heapify(heap)

    def changed(neighbour: int, user: int, need: int) -> None:
        cost = weights[user, need]
        gain[neighbour] += -cost if neighbour == need else cost
        heappush(heap, (-gain[neighbour], neighbour))

    front: list[int] = []
    back: list[int] = []
    while peel.left:
        while peel.free:
            node = peel.free.popleft()
            if node in peel.left:
                (back if peel.open_needs[node] else front).append(node)
                peel.remove(node, changed)
        while heap and peel.left:
            loss, node = heappop(heap)
            if node in peel.left and -loss == gain[node]:
                front.append(node)
                peel.remove(node, changed)
                break
    position = {node: place for place, node in enumerate([*front, *reversed(back)])}
    return sorted(edge for edge in weights if position[edge[1]] > position[edge[0]])


def nodes(
    members: Sequence[int], successors: Successors, preferred: Collection[int] = ()
) -> list[int]:
    """Return a small set of `members` without which the others have no cycle.

    Nodes of `preferred` are chosen first. The search is greedy: cut off what is in no cycle, choose
    the node with the most ways through it, and repeat. Then each chosen node that turns out not to
    be needed is given back, unless there are too many to try.
    """
    peel = _Peel(members, successors)

    def ways(node: int) -> tuple[bool, int]:
        return (node not in preferred, -peel.open_needs[node] * peel.open_users[node])

    heap = [(ways(node), node) for node in members]
    heapify(heap)

    def changed(neighbour: int, user: int, need: int) -> None:  # noqa: ARG001
        heappush(heap, (ways(neighbour), neighbour))

    chosen: list[int] = []
    while peel.left:
        while peel.free:
            node = peel.free.popleft()
            if node in peel.left:
                peel.remove(node, changed)
        while heap and peel.left:
            most, node = heappop(heap)
            if node in peel.left and most == ways(node):
                chosen.append(node)
                peel.remove(node, changed)
                break
    if len(chosen) <= GIVE_BACK:
        chosen.sort(key=lambda node: node in preferred)  # give the others back first
        chosen = _give_back(chosen, members, peel)
    return sorted(chosen)


def _give_back(chosen: list[int], members: Sequence[int], peel: _Peel) -> list[int]:
    for node in list(chosen):
        others = [other for other in chosen if other != node]
        if _acyclic_without(set(others), members, peel):
            chosen = others
    return chosen


def _acyclic_without(removed: set[int], members: Sequence[int], peel: _Peel) -> bool:
    waiting = {
        node: sum(target not in removed for target in peel.needs[node])
        for node in members
        if node not in removed
    }
    ready = [node for node, count in waiting.items() if not count]
    done = 0
    while ready:
        done += 1
        for user in peel.users[ready.pop()]:
            if user not in removed:
                waiting[user] -= 1
                if not waiting[user]:
                    ready.append(user)
    return done == len(waiting)
