"""What a plan is made with: the finished units of the store, and what repositories have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dag.core.build.events import ComputeResources
from dag.core.store.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A finished unit in the store."""

    version: str
    """`VERSION-rEPOCH`."""
    fingerprint: str
    """The fingerprint of the definition that it was built from; empty if nobody knows."""
    packages: tuple[str, ...]
    """The names of its packages."""
    depends: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What each of its packages needs, by the package's name."""
    provides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What each of its packages provides, by the package's name."""
    is_unchanged: bool | None = None
    """Whether it was built from just what would go into it today; None if nobody asked or knows."""
    replaced: tuple[str, ...] = ()
    """What a repository gave it to open a cycle, and the store has meanwhile; none if nobody asked."""

    @classmethod
    def of(
        cls, record: Record, *, is_unchanged: bool | None = None, replaced: tuple[str, ...] = ()
    ) -> Stored:
        """Return what the plan wants to know of a record."""
        return cls(
            version=record.version,
            fingerprint=record.fingerprint,
            packages=tuple(one.apk.name for one in record.built),
            depends={one.apk.name: one.apk.depends for one in record.built},
            provides={one.apk.name: one.apk.provides for one in record.built},
            is_unchanged=is_unchanged,
            replaced=replaced,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The knowledge of earlier runs and of repositories."""

    stored: Mapping[str, Stored] = field(default_factory=dict)
    """The units in the store, by the name of the definition's package."""
    repository: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Package → its versions in the repositories given with `-r`."""
    available: Collection[str] = ()
    """More names that these repositories can install, because their packages provide them."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """The fingerprints of today's definitions, by package."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long a package took the last time."""
    needed: Mapping[str, ComputeResources] = field(default_factory=dict)
    """The memory and the disk that a package turned out to need; 0 of what nobody knows."""
