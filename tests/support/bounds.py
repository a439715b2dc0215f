"""A bound for the makespan of a build that no scheduler can beat."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter

from dag.core.build.events import Unit


def bound_of_late_work(units: Sequence[Unit], slots: int) -> float:
    """Return the seconds that no scheduler can beat, because much work can begin only late.

    Whatever needs something that takes until some time cannot begin before it, and then all of it has
    to share the slots.
    """
    by_key = {unit.key: unit for unit in units}
    begins: dict[str, float] = {}
    for key in TopologicalSorter({unit.key: unit.needs for unit in units}).static_order():
        needs = by_key[key].needs
        begins[key] = max((begins[one] + by_key[one].seconds for one in needs), default=0.0)
    bound = work = 0.0
    for key in sorted(begins, key=begins.__getitem__, reverse=True):
        work += by_key[key].seconds
        bound = max(bound, begins[key] + work / slots)
    return bound
