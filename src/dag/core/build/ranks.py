"""Lengths of paths through units: they order a run, and bound how fast it can be."""

from __future__ import annotations

from collections.abc import Mapping

from dag.core.build.events import Unit


class Links:
    """The needs among some units, turned around; a need that is none of the units does not count."""

    def __init__(self, units: Mapping[str, Unit]) -> None:
        """Count the needs, and turn them around, in O(units + needs)."""
        self.missing: dict[str, int] = {}
        self.dependents: dict[str, list[str]] = {key: [] for key in units}
        for key, unit in units.items():
            needs = self.dependents.keys() & unit.needs
            self.missing[key] = len(needs)
            for need in needs:
                self.dependents[need].append(key)


def needs_first(units: Mapping[str, Unit], links: Links | None = None) -> list[str]:
    """Return the keys in an order with needs first, in O(units + needs).

    Raises:
        ValueError: the needs form a cycle.

    """
    links = links or Links(units)
    missing, dependents = dict(links.missing), links.dependents
    order = [key for key, count in missing.items() if count == 0]
    for key in order:  # grows while it is walked
        for dependent in dependents[key]:
            missing[dependent] -= 1
            if missing[dependent] == 0:
                order.append(dependent)
    if len(order) != len(units):
        stuck = sorted(key for key, count in missing.items() if count)
        raise ValueError(f"these units need each other: {', '.join(stuck[:10])}")
    return order


def remaining_paths(units: Mapping[str, Unit], links: Links | None = None) -> dict[str, float]:
    """Return, by unit, the seconds from its start to the end of the longest path that it begins.

    Raises:
        ValueError: the needs form a cycle.

    """
    behind = dict.fromkeys(units, 0.0)
    ranks = {}
    for key in reversed(needs_first(units, links)):
        unit = units[key]
        rank = behind[key] + (0.0 if unit.is_gate else unit.seconds)
        ranks[key] = rank
        for need in unit.needs:
            if need in behind and behind[need] < rank:
                behind[need] = rank
    return ranks


def levels(units: Mapping[str, Unit]) -> dict[str, int]:
    """Return, by unit, how many units lie before it on the longest chain, gates not counted."""
    result: dict[str, int] = {}
    for key in needs_first(units):
        before = (
            result[need] + (not units[need].is_gate) for need in units[key].needs if need in units
        )
        result[key] = max(before, default=0)
    return result


def critical_path(units: Mapping[str, Unit]) -> list[str]:
    """Return the chain of units that takes longest; of equal ones that with the first key."""
    ranks = remaining_paths(units)
    before: dict[str, list[str]] = {key: [] for key in units}
    for key, unit in units.items():
        for need in unit.needs:
            if need in units:
                before[need].append(key)
    path = []
    candidates = list(units)
    while candidates:
        key = min(candidates, key=lambda key: (-ranks[key], key))
        if not units[key].is_gate:
            path.append(key)
        candidates = before[key]
    return path
