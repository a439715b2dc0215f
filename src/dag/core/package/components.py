"""Strongly connected components of a graph that is found out while it is walked: Tarjan's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence


def components(roots: Iterable[int], needs: Callable[[int], Sequence[int]]) -> list[Sequence[int]]:
    """Find the components of all that `roots` need, each after those that it needs.

    `needs` is called once for each number that is reached.
    """
    walk = _Walk(needs)
    for root in roots:
        if root not in walk.index:
            walk.enter(root)
            while walk.work:
                walk.step()
    return walk.found


class _Walk:
    def __init__(self, needs: Callable[[int], Sequence[int]]) -> None:
        self._needs = needs
        self.index: dict[int, int] = {}
        self.found: list[Sequence[int]] = []
        self.work: list[tuple[int, Iterator[int]]] = []
        self._path: list[int] = []
        self._low: dict[int, int] = {}
        """Number on the path → the earliest on the path that it leads back to."""

    def enter(self, node: int) -> None:
        index = self.index[node] = len(self.index)
        needs = self._needs(node)
        if needs:
            self._low[node] = index
            self._path.append(node)
            self.work.append((node, iter(needs)))
        else:
            self.found.append((node,))

    def step(self) -> None:
        """Go on to the next need of the last number, or back."""
        node, needs = self.work[-1]
        index, low = self.index, self._low
        for need in needs:
            if need not in index:
                self.enter(need)
                return
            if need in low and index[need] < low[node]:
                low[node] = index[need]
        self.work.pop()
        if self.work and low[node] < low[self.work[-1][0]]:
            low[self.work[-1][0]] = low[node]
        if low[node] == index[node]:
            self._complete(node)

    def _complete(self, node: int) -> None:
        component: list[int] = []
        while not component or component[-1] != node:
            component.append(self._path.pop())
        for member in component:
            del self._low[member]
        self.found.append(component)
