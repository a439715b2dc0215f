"""What the store remembers of a finished unit, and which packages a build environment installs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dag.core.build.plan import Stored
from dag.core.package.apk import Apk
from dag.core.package.model import bare_name
from dag.core.package.versions import key

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One package of a finished unit."""

    apk: Apk
    requires: tuple[str, ...] = ()
    """The packages that gave what it turned out to need (`so:libz.so.1`) when it was built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A finished unit: proven, and all of it in the store."""

    name: str
    version: str
    """`VERSION-rEPOCH`."""
    fingerprint: str
    """Of the definition that it was built from; empty if nobody knows."""
    seconds: float
    """What the attempt took; 0 if nobody knows."""
    built: tuple[Built, ...]

    @property
    def files(self) -> dict[str, Apk]:
        """Its packages by the names of their files."""
        return {built.apk.file: built.apk for built in self.built}

    def to_json(self) -> dict[str, Any]:
        """Give it in a form that JSON can hold."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: object) -> Record:
        """Read what `to_json` gave.

        Raises:
            ValueError: it is something else, or of another format.

        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError("no record of this format")
        try:
            built = tuple(
                Built(apk=_apk(one["apk"]), requires=tuple(one["requires"]))
                for one in data["built"]
            )
            return cls(
                name=data["name"],
                version=data["version"],
                fingerprint=data["fingerprint"],
                seconds=float(data["seconds"]),
                built=built,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no record: {error!r}") from error

    def stored(self) -> Stored:
        """Say it as the plan wants to know it."""
        return Stored(
            version=self.version,
            fingerprint=self.fingerprint,
            packages=tuple(one.apk.name for one in self.built),
            depends={one.apk.name: one.apk.depends for one in self.built},
            provides={one.apk.name: one.apk.provides for one in self.built},
        )


def _apk(data: dict[str, Any]) -> Apk:
    tuples = {name: tuple(data[name]) for name in ("depends", "provides")}
    return Apk(**{**data, **tuples})


def current(records: Iterable[Record], versions: Mapping[str, str]) -> dict[str, Record]:
    """Choose one record a unit: the version that is defined today, else the highest."""
    chosen: dict[str, Record] = {}
    for record in records:
        best = chosen.get(record.name)
        wanted = versions.get(record.name)
        if best is None or (
            (record.version == wanted, key(record.version))
            > (best.version == wanted, key(best.version))
        ):
            chosen[record.name] = record
    return chosen


def installed(
    environment: Iterable[str],
    packages: Mapping[str, Built],
    provider: Callable[[str], str | None],
    without: Collection[str] = (),
) -> dict[str, Built]:
    """Find what a build environment installs of `packages`: what it names and all that they need.

    `provider` names the package that the definitions choose for a provided name. What is not found
    comes from a repository, or melange will say what is missing. Packages in `without` are passed
    over.
    """
    found: dict[str, Built] = {}
    todo = list(environment)
    while todo:
        text = todo.pop()
        name = bare_name(text)
        # What is provided today goes before what once had the name and is still there.
        one = packages.get(provider(name) or name)
        if one is None or one.apk.name in found or one.apk.name in without:
            continue
        found[one.apk.name] = one
        todo += one.apk.depends
        todo += one.requires
    return found


def requirements(
    apk: Apk, around: Iterable[Apk], provider: Callable[[str], str | None]
) -> Iterator[str]:
    """Name the packages among `around` that give what `apk` needs but no definition names."""
    wanted = {bare_name(text) for text in apk.depends}
    for other in sorted(around, key=lambda one: one.name):
        if other.name == apk.name or other.name in wanted:
            continue
        given = {bare_name(text) for text in other.provides}
        if any(provider(name) is None for name in given & wanted):
            yield other.name
