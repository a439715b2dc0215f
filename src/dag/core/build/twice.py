"""The second builds of `--twice`: each is a unit that needs nothing but the first build."""

from __future__ import annotations

from collections.abc import Iterable

from dag.core.build.events import Unit

_AGAIN = " again"
"""It ends the keys of second builds; no package has a space in its name."""


def second_of(name: str) -> str:
    """Return the key of a package's second build."""
    return name + _AGAIN


def is_second(key: str) -> bool:
    """Return whether a unit is a second build."""
    return key.endswith(_AGAIN)


def package_of(key: str) -> str:
    """Return the name of the package that a unit builds, for the first or the second time."""
    return key.removesuffix(_AGAIN)


def second_units(units: Iterable[Unit]) -> tuple[Unit, ...]:
    """Return the second builds of units, each of which takes what the first one does."""
    return tuple(
        Unit(second_of(unit.key), (unit.key,), unit.resources, unit.seconds) for unit in units
    )
