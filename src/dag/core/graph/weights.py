"""How much each need weighs where a cycle must be opened."""

from __future__ import annotations

from collections.abc import Collection

from dag.core.graph.installs import Installs, Way

# Where a cycle must be opened, the edges that the original program knew are kept rather than those
# that it did not, and an edge that a repository can satisfy is dropped before any other.
_WEIGHTS = {"environment": 60, "pipeline": 60, "nested pipeline": 6, "subpackage pipeline": 6}
UNSATISFIED = 1000


class Weights:
    """The weights of the needs of units."""

    def __init__(self, installs: Installs, available: Collection[str]) -> None:
        """Take what units install, and the names that a repository has."""
        self._installs = installs
        self._available = available
        self._best_ways: dict[int, dict[int, tuple[int, Way]]] = {}

    def ways(self, unit: int) -> dict[int, tuple[int, Way]]:
        """Return, by definition, the heaviest way to need it, and its weight; the first of equals."""
        best = self._best_ways.get(unit)
        if best is not None:
            return best
        best = self._best_ways[unit] = {}
        for way in self._installs.ways(unit):
            owner = self._installs.owner(way.package)
            # Nothing that is needed at run time weighs more than that.
            is_done = way.before is not None and owner in best and best[owner][0] >= UNSATISFIED
            if owner is not None and not is_done:
                weight = self._weight(way)
                if owner not in best or weight > best[owner][0]:
                    best[owner] = (weight, way)
        return best

    def of(self, unit: int) -> dict[int, int]:
        """Return what a definition needs and by how much; what is left out weighs `UNSATISFIED`."""
        if self._available:
            return {target: weight for target, (weight, _) in self.ways(unit).items()}
        weights: dict[
            int, int
        ] = {}  # nothing is satisfied, and what is needed at run time weighs 1
        for way in self._installs.direct_ways(unit):
            owner = self._installs.owner(way.package)
            if owner is not None:
                weights[owner] = max(weights.get(owner, 0), self._weight(way))
        return weights

    def _weight(self, way: Way) -> int:
        name = self._installs.candidates[way.package].name
        if way.before is not None:
            return self._by_availability(1, name)
        weight = 1 if name != way.need.name else _WEIGHTS.get(way.need.kind, 60)
        return self._by_availability(weight, way.need.name)

    def _by_availability(self, weight: int, name: str) -> int:
        return weight if name in self._available else weight * UNSATISFIED
