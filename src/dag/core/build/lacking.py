"""Units whose environment lacks what a package turned out to need, until another unit gives that."""

from __future__ import annotations

from collections.abc import Iterable


class LackingUnits:
    """The units, and the names that each lacks."""

    def __init__(self) -> None:
        self._units: dict[str, tuple[str, ...]] = {}
        self._given: set[str] = set()
        """Every name that proven units turned out to provide."""

    def add(self, key: str, names: tuple[str, ...]) -> bool:
        """Add a unit; return False if what it lacks came meanwhile, so that it is none of these."""
        if self._given.isdisjoint(names):
            self._units[key] = names
        return key in self._units

    def supply(self, names: Iterable[str]) -> list[str]:
        """Remove and return the units that lack one of these names, which a unit gives."""
        names = set(names)
        self._given |= names
        found = [key for key, lacks in self._units.items() if not names.isdisjoint(lacks)]
        for key in found:
            del self._units[key]
        return found

    def clear(self) -> list[str]:
        """Remove and return all units."""
        units = [*self._units]
        self._units.clear()
        return units
