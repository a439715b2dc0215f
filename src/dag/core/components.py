"""Strongly connected components of a directed graph: Tarjan's algorithm, without recursion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def strongly_connected(  # noqa: C901  # one walk, as published
    successors: Sequence[Sequence[int]],
) -> Iterator[list[int]]:
    """Yield the components of the nodes 0 …, each after those that it leads to; in O(V + E)."""
    index = [0] * len(successors)  # 0: not seen yet
    low = [0] * len(successors)
    done = bytearray(len(successors))
    path: list[int] = []
    counter = 0
    for root, targets in enumerate(successors):
        if done[root]:
            continue
        if all(map(done.__getitem__, targets)):  # as is often so, and told in a tenth of the time
            done[root] = 1
            yield [root]
            continue
        counter += 1
        index[root] = low[root] = counter
        path.append(root)
        work = [(root, iter(targets))]
        while work:
            node, rest = work[-1]
            for successor in rest:
                if done[successor]:
                    continue
                if not index[successor]:
                    counter += 1
                    index[successor] = low[successor] = counter
                    path.append(successor)
                    work.append((successor, iter(successors[successor])))
                    break
                if index[successor] < low[node]:  # noqa: PLR1730  # min() takes three times as long
                    low[node] = index[successor]
            else:
                work.pop()
                if work and low[node] < low[work[-1][0]]:
                    low[work[-1][0]] = low[node]
                if low[node] == index[node]:
                    start = len(path) - 1
                    while path[start] != node:
                        start -= 1
                    members = path[start:]
                    del path[start:]
                    for member in members:
                        done[member] = 1
                    yield members
