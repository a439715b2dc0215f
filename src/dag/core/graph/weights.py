"""How much a definition needs another: which edges are kept where a cycle must be opened."""

from __future__ import annotations

from dag.core.graph.installs import Installs, Way

# Where a cycle must be opened, the edges that the original program knew are kept rather than those
# that it did not, and an edge that a repository can satisfy is dropped before any other.
_WEIGHTS = {"environment": 60, "pipeline": 60, "nested pipeline": 6, "subpackage pipeline": 6}
UNSATISFIED = 1000
"""How much more an edge weighs that no repository satisfies."""


class HeaviestWays:
    """The heaviest way in which each definition needs each other one."""

    def __init__(self, installs: Installs) -> None:
        """Take what is installed."""
        self._installs = installs
        self._best: dict[int, dict[int, tuple[int, Way]]] = {}

    def ways(self, unit: int) -> dict[int, tuple[int, Way]]:
        """Return, by definition, the heaviest way to need it, and its weight; the first of equals."""
        best = self._best.get(unit)
        if best is not None:
            return best
        best = self._best[unit] = {}
        for way in self._installs.ways(unit):
            owner = self._installs.owner(way.package)
            # Nothing that is needed at run time weighs more than that.
            is_done = way.before is not None and owner in best and best[owner][0] >= UNSATISFIED
            if owner is not None and not is_done:
                weight = self._weight(unit, way)
                if owner not in best or weight > best[owner][0]:
                    best[owner] = (weight, way)
        return best

    def weights(self, unit: int) -> dict[int, int]:
        """Return what a definition needs and by how much; what is left out weighs `UNSATISFIED`."""
        if self._installs.supply(unit).available:
            return {target: weight for target, (weight, _) in self.ways(unit).items()}
        # Nothing is satisfied, and what is needed at run time weighs 1.
        weights: dict[int, int] = {}
        for way in self._installs.direct_ways(unit):
            owner = self._installs.owner(way.package)
            if owner is not None:
                weight = UNSATISFIED * self._strength(way)
                if weight > weights.get(owner, 0):
                    weights[owner] = weight
        return weights

    def _weight(self, unit: int, way: Way) -> int:
        wanted = self._name(way) if way.before else way.need.name
        is_satisfied = wanted in self._installs.supply(unit).available
        return self._strength(way) * (1 if is_satisfied else UNSATISFIED)

    def _strength(self, way: Way) -> int:
        if way.before is not None or self._name(way) != way.need.name:
            return 1
        return _WEIGHTS.get(way.need.kind, 60)

    def _name(self, way: Way) -> str:
        return self._installs.candidates[way.package].name
