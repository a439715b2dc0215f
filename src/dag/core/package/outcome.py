"""What an environment installs and why, or at which need apko gives up."""

from __future__ import annotations

from dataclasses import dataclass

from dag.core.package.candidates import Offered


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a package is installed."""

    text: str
    """The need, as written."""
    by: int | None
    """The package that has the need; None for the environment itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What an environment installs, in apko's order."""

    packages: tuple[int, ...]
    causes: dict[int, Cause]
    """Package → the first need that it was taken for."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a package cannot be taken."""

    package: int
    why: str
    """In apko's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveUp:
    """Where apko gives up: it does not look for another way."""

    constraint: str
    """The need that cannot be satisfied, as written."""
    by: tuple[int, ...]
    """The packages that lead to the one that has the need; empty if it is the environment's own."""
    excluded: tuple[Reason, ...]
    """The packages of that name that are ruled out, and why."""
    there: tuple[Offered, ...]
    """What there is of that name, at all."""
    message: str
    """What apko itself says."""
