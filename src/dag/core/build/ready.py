"""The queue of the units that are ready: the longest remaining path goes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush

from dag.core.build.events import ComputeResources
from dag.core.build.states import Progress, UnitState


class ReadyQueue:
    """The ready units of a run, in one heap for each kind of resources that they ask for."""

    def __init__(self, units: Mapping[str, Progress]) -> None:
        """Take the units of the run by key; none is ready yet."""
        self._units = units
        self._heaps: dict[ComputeResources, list[tuple[float, str]]] = {}

    def push(self, progress: Progress) -> None:
        """Add a unit that is ready now."""
        heap = self._heaps.setdefault(progress.resources, [])
        heappush(heap, (-progress.rank, progress.unit.key))

    def pop(self, fits: Callable[[ComputeResources], bool]) -> str | None:
        """Remove and return the first unit whose resources fit; None if there is none."""
        heaps = [
            heap
            for resources, heap in self._heaps.items()
            if fits(resources) and self._has_unit(heap, resources)
        ]
        if not heaps:
            return None
        return heappop(min(heaps, key=lambda heap: heap[0]))[1]

    def clear(self) -> None:
        """Remove all units."""
        self._heaps.clear()

    def longest_paths(self) -> Iterator[float]:
        """Yield the longest remaining path of each kind of resources, in seconds."""
        return (-heap[0][0] for heap in self._heaps.values() if heap)

    def _has_unit(self, heap: list[tuple[float, str]], resources: ComputeResources) -> bool:
        # The place of an adopted unit stays in the queue, and is dropped when it comes up.
        while heap:
            progress = self._units[heap[0][1]]
            if progress.state is UnitState.READY and progress.resources == resources:
                return True
            heappop(heap)
        return False
