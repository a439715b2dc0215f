"""APKINDEX, the list of the packages that a repository has.

The format: https://wiki.alpinelinux.org/wiki/Apk_spec#APKINDEX_Format
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from dag.core.arch import ARCHITECTURES
from dag.core.limits import LISTED_PACKAGES
from dag.core.lines import iterate_lines
from dag.core.package.candidates import Candidate
from dag.core.package.constraints import parse
from dag.core.package.model import Package, bare_name
from dag.errors import UsageError


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One package of a repository."""

    name: str
    version: str
    """`VERSION-rEPOCH`."""
    origin: str
    depends: tuple[str, ...]
    provides: tuple[str, ...]
    priority: int = 0
    """Its provider priority."""
    install_if: tuple[str, ...] = ()
    """What must all be there for the package to be installed unasked."""
    checksum: str = ""
    """`Q1` and the base64 of its control section's SHA-1; empty if the index has none."""
    repository: str = ""
    """The repository that lists it, without the architecture."""
    stanza: str = field(default="", compare=False, repr=False)
    """Its lines in the index."""
    pin: str = ""
    """The tag with which an environment names the repository; it may also name it without one."""

    @property
    def candidate(self) -> Candidate:
        """Return the package as what can be installed."""
        return Candidate(
            self.name,
            self.version,
            self.origin,
            self.depends,
            self.provides,
            self.priority,
            self.install_if,
            self.repository,
            self.pin,
        )


INDEX_FILE = "APKINDEX.tar.gz"


def repository_root(place: str) -> str:
    """Return a repository as melange wants it: the directory above ARCH/APKINDEX.tar.gz.

    Raises:
        UsageError: the index is in no directory of an architecture.

    """
    head, _, last = place.rstrip("/").rpartition("/")
    named = last == INDEX_FILE
    if named:
        head, _, last = head.rpartition("/")
    if last in ARCHITECTURES:
        return head or ("/" if place.startswith("/") else ".")
    if named:
        raise UsageError(
            f"{place} is not in a directory named like an architecture, which melange demands",
            hint=f"name a directory or URL that has ARCH/{INDEX_FILE} in it",
        )
    return place


class BrokenIndex(ValueError):
    """A text that is not an APKINDEX; the message says in which line, and why."""


def read_index(text: str, repository: str = "") -> list[IndexEntry]:
    """Return the packages of an APKINDEX's text, which `repository` has.

    Raises:
        BrokenIndex: a line has another form, or a package has no name or no version.
        TooLarge: it lists too many.

    """
    return list(_entries(text, repository))


def _entries(text: str, repository: str) -> Iterator[IndexEntry]:
    fields: dict[str, str] = {}
    lines: list[str] = []
    count = 0
    for number, line in enumerate(chain(iterate_lines(text), ("",)), start=1):
        if line.strip():
            letter, colon, value = line.partition(":")
            if not colon or len(letter) != 1:
                raise BrokenIndex(f"line {number} is not `X:value`: {line[:60]!r}")
            fields[letter] = value.strip()
            lines.append(line)
        elif fields:
            if not (fields.get("P") and fields.get("V")):
                raise BrokenIndex(f"the package before line {number} has no name or no version")
            count += 1
            if count > LISTED_PACKAGES.most:
                raise LISTED_PACKAGES.error(repository)
            yield IndexEntry(
                fields["P"],
                fields["V"],
                fields.get("o", fields["P"]),
                tuple(fields.get("D", "").split()),
                tuple(fields.get("p", "").split()),
                _priority(fields.get("k", ""), number),
                tuple(fields.get("i", "").split()),
                fields.get("C", ""),
                repository,
                "\n".join(lines),
            )
            fields, lines = {}, []


def _priority(text: str, number: int) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BrokenIndex(
            f"the package before line {number} has no number as priority: {text[:60]!r}"
        )
    return int(text)


def offers(versions: Mapping[str, Collection[str]], package: Package) -> bool:
    """Return whether all that `package` builds is there, given package → versions."""
    return all(package.full_version in versions.get(name, ()) for name in package.promised)


class PackageRepository:
    """The packages of one or more indexes."""

    def __init__(self, entries: Iterable[IndexEntry] = ()) -> None:
        """Keep `entries`; one package may have several versions."""
        self.entries = tuple(entries)

    @cached_property
    def names(self) -> frozenset[str]:
        """Return every name that can be installed: those of packages, and those they provide."""
        provided = (bare_name(text) for entry in self.entries for text in entry.provides)
        return frozenset(entry.name for entry in self.entries) | frozenset(provided)

    @cached_property
    def by_name(self) -> dict[str, list[int]]:
        """Return the places in `entries` of all that have or provide a name."""
        found: dict[str, list[int]] = {}
        for place, entry in enumerate(self.entries):
            for name in {entry.name, *(parse(text).name for text in entry.provides)}:
                found.setdefault(name, []).append(place)
        return found

    @cached_property
    def triggered(self) -> list[int]:
        """Return the places in `entries` of what is installed unasked."""
        return [place for place, entry in enumerate(self.entries) if entry.install_if]

    @property
    def candidates(self) -> Iterator[Candidate]:
        """Return what can be installed, in the order of the indexes."""
        return (one.candidate for one in self.entries)

    @cached_property
    def versions(self) -> dict[str, frozenset[str]]:
        """Return the versions of each package."""
        versions: dict[str, set[str]] = {}
        for entry in self.entries:
            versions.setdefault(entry.name, set()).add(entry.version)
        return {name: frozenset(several) for name, several in versions.items()}
