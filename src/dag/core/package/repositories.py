"""The repositories that environments ask besides the store, and the keys that they trust.

A definition names some, and so does the Makefile's call of melange. The rules are those of apko
1.2.21 (pkg/apk/apk/index.go: GetRepositoryIndexes, and implementation.go: InitKeyring).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

from dag.core.package.apkindex import PackageRepository
from dag.core.package.model import Package, bare_name
from dag.core.web import redact

_SCHEMES = ("https://", "http://")
OWN = "packages"
"""Where the packages of the directory are: melange asks that for the store's."""


class NamedPlace(NamedTuple):
    """A repository or a key as somebody names it."""

    text: str
    """A URL or a path."""
    by: str
    """Who names it, for messages: `zlib.yaml:12`, `the Makefile`."""
    pin: str = ""
    """The tag of a repository; only a need with that tag is given its packages."""

    @property
    def is_url(self) -> bool:
        """Return whether it is asked over http(s)."""
        return self.text.startswith(_SCHEMES)

    @property
    def shown(self) -> str:
        """The place as it may be shown."""
        return redact(self.text)

    @property
    def is_own(self) -> bool:
        """Return whether it is the repository of the directory's own packages."""
        return not self.is_url and posixpath.normpath(self.text) == OWN

    @property
    def is_of_definition(self) -> bool:
        """Return whether a definition names it, and not the Makefile."""
        return self.by.partition(":")[0].endswith(".yaml")

    @property
    def is_inside(self) -> bool:
        """Return whether it is a path below the directory, as far as its text tells."""
        return not (self.is_url or self.text.startswith("/") or ".." in self.text.split("/"))


def read_line(text: str, by: str) -> NamedPlace | None:
    """Return the repository that a line names, `PLACE` or `@TAG PLACE`; None if apko refuses it."""
    if text.startswith("@"):
        words = text.split()
        return NamedPlace(words[1], by, words[0][1:]) if len(words) > 1 else None
    return NamedPlace(text, by)


def key_name(place: str) -> str:
    """Return the name by which a key is known: that of its file."""
    return place.rstrip("/").rpartition("/")[2]


class Trust(Struct, frozen=True, kw_only=True):
    """The repositories of an environment, and the keys that it trusts."""

    repositories: tuple[NamedPlace, ...] = ()
    """In the order in which apko asks them: by their texts."""
    keys: tuple[NamedPlace, ...] = ()
    ignores_signatures: bool = False
    refused: tuple[str, ...] = ()
    """The lines that are no repository, in words."""


def trust_of(package: Package) -> Trust:
    """Return what the environment of a package asks besides the store and `-r`, and trusts."""
    lines = {one.text: f"{one.file}:{one.line}" for one in reversed(package.repositories)}
    places: list[NamedPlace] = []
    refused: list[str] = []
    for text in sorted(lines):
        place = read_line(text, lines[text])
        if place is None:
            refused.append(f"{lines[text]} names {text[:60]!r}, which is no repository")
        elif not place.is_own:
            places.append(place)
    keys = {one.text: f"{one.file}:{one.line}" for one in reversed(package.keyring)}
    return Trust(
        repositories=tuple(places),
        keys=tuple(NamedPlace(text, keys[text]) for text in sorted(keys)),
        ignores_signatures=package.ignores_signatures,
        refused=tuple(refused),
    )


def hosts_of(places: Iterable[str]) -> frozenset[str]:
    """Return the hosts that URLs among some places name."""
    found = set()
    for place in places:
        if place.startswith(_SCHEMES):
            try:
                host = urlsplit(place).hostname
            except ValueError:
                continue
            if host:
                found.add(host.rstrip(".").lower())
    return frozenset(found)


@dataclass(frozen=True, kw_only=True)
class Repositories:
    """What there is in repositories."""

    common: PackageRepository = field(default_factory=PackageRepository)
    """For every environment: what `-r` names."""
    own: Mapping[str, PackageRepository] = field(default_factory=dict)
    """Package → what there is for its environment, if that is more than `common`."""
    unasked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Package → the repositories of its environment that are not used."""
    unreachable: frozenset[str] = frozenset()
    """Those of them whose servers could not be reached, as they may be shown."""
    untrusted: Mapping[str, str] = field(default_factory=dict)
    """Package → which repository that the user names its environment does not trust, and why."""
    roots: Mapping[str, str] = field(default_factory=dict)
    """A repository, as it is named → as what it lists names it."""
    words: tuple[str, ...] = ()
    """What a person should be told, a line each."""

    def of(self, package: str) -> PackageRepository:
        """Return what there is for the environment of a package."""
        return self.own.get(package, self.common)

    @cached_property
    def _holders(self) -> dict[str, str]:
        """Return a repository for each name that one has which some environments ask."""
        found: dict[str, str] = {}
        for one in {id(one): one for one in self.own.values()}.values():
            for entry in one.entries:
                for name in (entry.name, *map(bare_name, entry.provides)):
                    found.setdefault(name, entry.repository)
        return found

    def holder(self, names: Iterable[str]) -> str | None:
        """Return a repository that some environments ask and that has one of `names`, as shown."""
        found = next((self._holders[name] for name in names if name in self._holders), None)
        return None if found is None else redact(found)

    def remarks(self, missing: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Return for missing names, which have their users, in words why and where they may be."""
        remarks = {}
        for name, users in missing.items():
            unasked = {one for user in users for one in self.unasked.get(user, ())}
            if unasked:
                remarks[name] = unasked_words(unasked)
            elif holder := self.holder([bare_name(name)]):
                remarks[name] = f"-r {holder} makes what it has known to all"
        return remarks


def unasked_words(places: Iterable[str]) -> str:
    """Return that repositories could not be asked, which are named as they may be shown."""
    return f"{' and '.join(sorted({*places}))} could not be asked"


@dataclass(frozen=True, kw_only=True)
class NamedByUser:
    """The repositories and keys that the user names; paths are relative to where `dag` runs."""

    repositories: Sequence[str] = ()
    keys: Sequence[str] = ()
