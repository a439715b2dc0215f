"""What an environment installs and why, or at which need apko gives up."""

from __future__ import annotations

from msgspec import Struct

from dag.core.package.candidates import Offered


class InstallCause(Struct, frozen=True):
    """Why a package is installed."""

    text: str
    """The need, as written."""
    by: int | None
    """The package that has the need; None for the environment itself."""


class Installed(Struct, frozen=True, kw_only=True):
    """What an environment installs, in apko's order."""

    packages: tuple[int, ...]
    causes: dict[int, InstallCause]
    """Package → the first need that it was taken for."""


class ExclusionReason(Struct, frozen=True):
    """Why a package cannot be taken."""

    package: int
    why: str
    """In apko's words."""


class GaveUp(Struct, frozen=True, kw_only=True):
    """Where apko gives up: it does not look for another way."""

    constraint: str
    """The need that cannot be satisfied, as written."""
    by: tuple[int, ...]
    """The packages that lead to the one that has the need; empty if it is the environment's own."""
    excluded: tuple[ExclusionReason, ...]
    """The packages of that name that are ruled out, and why."""
    there: tuple[Offered, ...]
    """What there is of that name, at all."""
    message: str
    """What apko itself says."""
