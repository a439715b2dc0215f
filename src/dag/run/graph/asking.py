"""Fetches indexes and keys, and judges which of them each environment can use."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dag.core.arch import Arch
from dag.core.limits import ALL_LISTED_PACKAGES, NAMED_REPOSITORIES, PUBLIC_KEY
from dag.core.package.apkindex import INDEX_FILE, IndexEntry, PackageRepository
from dag.core.package.repositories import (
    NamedByUser,
    NamedPlace,
    Repositories,
    Trust,
    hosts_of,
    key_name,
)
from dag.core.package.signature import PublicKey, read_public_key
from dag.core.web import is_web_page, redact
from dag.errors import DagError, InfrastructureError
from dag.io.files import read_bytes
from dag.io.package.apkindex import Index, open_index
from dag.io.package.patience import Forbidden, ServerPatience, Unreachable
from dag.report.words import some
from dag.run.aside import at_once

if TYPE_CHECKING:
    from dag.io.package.reach import Fetcher

_STRANGERS = ServerPatience(connect=10.0, silence=20.0, in_all=120.0)
"""How long a server is waited for that a definition names."""
_SECONDS = 180.0
"""After so long no further one of these is asked, however many they are."""


class Asking:
    """The repositories of one run."""

    def __init__(
        self, trusts: Mapping[str, Trust], directory: Path, arch: Arch, named: NamedByUser
    ) -> None:
        """Take what environments name, by their packages, and what the user does."""
        self._trusts = trusts
        self._directory = directory.resolve()
        self._arch = arch
        self._named = named
        self._fetcher: Fetcher | None = None
        self._strange_fetcher: Fetcher | None = None
        self._until = time.monotonic() + _SECONDS
        self._indexes: dict[str, Index | DagError] = {}
        self._keys: dict[str, PublicKey | None] = {}
        self._faults: dict[str, dict[str, None]] = {}
        """What is wrong with a repository, in words → who names it."""
        self._unreachable: set[str] = set()

    def ask(self) -> Repositories:
        """Ask all of them once; errors as for `ask_repositories`."""
        named = self._named
        self._fetch()
        for place in named.repositories:
            if isinstance(found := self._indexes[place], DagError):
                raise found
        listed = [entry for place in named.repositories for entry in self._entries(place)]
        common = PackageRepository(listed)
        self._bound(len(listed))
        own: dict[str, PackageRepository] = {}
        shared: dict[tuple[tuple[str, str], ...], PackageRepository] = {}
        unasked: dict[str, tuple[str, ...]] = {}
        for name, trust in self._trusts.items():
            usable = [one for one in trust.repositories if self._is_usable(one, trust)]
            left_out = dict.fromkeys(one.shown for one in trust.repositories if one not in usable)
            if left_out:
                unasked[name] = tuple(left_out)
            if usable:
                key = tuple((one.text, one.pin) for one in usable)
                if key not in shared:
                    shared[key] = self._joined(common, usable)
                own[name] = shared[key]
        roots = {
            place: index.repository
            for place, index in self._indexes.items()
            if isinstance(index, Index)
        }
        untrusted = dict(self._untrusted())
        return Repositories(
            common=common,
            own=own,
            unasked=unasked,
            unreachable=frozenset(self._unreachable),
            untrusted=untrusted,
            roots=roots,
            words=tuple(self._words()),
        )

    def _untrusted(self) -> Iterator[tuple[str, str]]:
        """Yield the packages whose environments trust a repository of the user's not, and why."""
        known: dict[tuple[NamedPlace, ...], str | None] = {}
        for name, trust in self._trusts.items():
            if self._named.repositories and not trust.ignores_signatures:
                if trust.keys not in known:
                    known[trust.keys] = self._distrust(self._keyring(trust))
                if (why := known[trust.keys]) is not None:
                    judged = f"melange will refuse {why}"
                    if unread := next(filter(self._is_elsewhere, trust.keys), None):
                        unread_words = f"{unread.shown} is not read: it is a path of the machine"
                        judged = f"melange may refuse {why}; {unread_words}"
                    self._faults.setdefault(f"{judged}; --keyring names a key", {})
                    yield name, why

    def _distrust(self, keys: Mapping[str, PublicKey]) -> str | None:
        """Return which repository of the user's is not trusted, and why; None if all are."""
        for place in self._named.repositories:
            index = self._indexes[place]
            why = index.distrust(keys) if isinstance(index, Index) else None
            if isinstance(index, Index) and why:
                return f"-r {redact(place)}: {index.where} {why}"
        return None

    def _fetch(self) -> None:
        """Fetch all indexes and keys, several at once."""
        named = self._named
        asked: dict[str, None] = dict.fromkeys(named.repositories)
        keys = dict.fromkeys(named.keys)
        for trust in self._trusts.values():
            places = [place.text for place in trust.repositories if self._may_ask(place)]
            asked |= dict.fromkeys(places)
            if places or named.repositories:
                keys |= dict.fromkeys(key.text for key in trust.keys if key.is_url)
        wanted = list(asked)[: NAMED_REPOSITORIES.most]
        urls = [key for key in keys if "://" in key][: NAMED_REPOSITORIES.most]
        if urls or any("://" in place for place in wanted):
            from dag.io.package.reach import Fetcher, Reach

            reach = Reach(hosts_of((*named.repositories, *named.keys)))
            self._fetcher, self._strange_fetcher = Fetcher(reach), Fetcher(reach, _STRANGERS)
        self._indexes = at_once(self._open, wanted)
        self._keys = at_once(self._fetch_key, urls)

    def _open(self, place: str) -> Index | DagError:
        inside = "://" not in place and place not in self._named.repositories
        is_strange = place not in self._named.repositories
        if is_strange and time.monotonic() > self._until:
            return InfrastructureError("the others have taken all the time that there is")
        try:
            where = str(self._directory / place) if inside else place
            fetcher = self._strange_fetcher if is_strange else self._fetcher
            index = open_index(where, self._arch, fetcher)
            _ = index.entries
        except DagError as error:
            return error
        return index

    def _bound(self, count: int) -> None:
        """Keep the packages that strangers list within what memory has room for."""
        for place, index in sorted(self._indexes.items()):
            if isinstance(index, Index) and place not in self._named.repositories:
                count += len(index.entries)
                if count > ALL_LISTED_PACKAGES.most:
                    self._indexes[place] = ALL_LISTED_PACKAGES.error(index.where)

    def _entries(self, place: str) -> Iterator[IndexEntry]:
        index = self._indexes.get(place)
        return iter(index.entries if isinstance(index, Index) else ())

    def _joined(
        self, common: PackageRepository, places: Collection[NamedPlace]
    ) -> PackageRepository:
        there = {entry.repository for entry in common.entries}
        entries = [
            replace(entry, pin=place.pin) if place.pin else entry
            for place in places
            for entry in self._entries(place.text)
            if place.pin or entry.repository not in there
        ]
        return PackageRepository((*common.entries, *entries))

    # ---- which are asked ----------------------------------------------------------------------

    def _may_ask(self, place: NamedPlace) -> bool:
        """Return whether a repository that a stranger names is looked at."""
        return place.is_url or self._inside(self._local_index(place)) is not None

    def _local_index(self, place: NamedPlace) -> str:
        return f"{place.text}/{self._arch.apk}/{INDEX_FILE}"

    def _inside(self, text: str) -> Path | None:
        """Return the file of this path, if it is one of the definitions' directory."""
        try:
            path = (self._directory / text).resolve()
            return path if path.is_file() and path.is_relative_to(self._directory) else None
        except (OSError, ValueError):  # too long, or with characters that no path has
            return None

    def _is_there(self, place: NamedPlace) -> bool:
        try:
            return (self._directory / self._local_index(place)).exists()
        except (OSError, ValueError):
            return False

    def _is_usable(self, place: NamedPlace, trust: Trust) -> bool:
        index = self._indexes.get(place.text)
        if index is None:
            is_passed_over = place.is_inside or not (place.is_url or place.is_of_definition)
            if is_passed_over and not self._is_there(place):
                return True  # apko passes over what is not there, too
            fault = f"{place.shown} is not read: it is a path of the machine; -r names such ones"
            if place.is_url:
                fault = f"{place.shown} is not asked: {NAMED_REPOSITORIES} are asked at most"
        elif isinstance(index, DagError):
            fault = f"{place.shown} could not be asked: {index.message}"
            if isinstance(index, InfrastructureError) and not isinstance(
                index.__cause__, Forbidden
            ):
                self._unreachable.add(place.shown)
        else:
            why = None if trust.ignores_signatures else index.distrust(self._keyring(trust))
            if why is None:
                return True
            fault = f"{place.shown} is not used: {index.where} {why}; --keyring names a key"
        self._faults.setdefault(fault, {})[place.by] = None
        return False

    # ---- keys ---------------------------------------------------------------------------------

    def _keyring(self, trust: Trust) -> dict[str, PublicKey]:
        found: dict[str, PublicKey] = {}
        for place in trust.keys:
            key = self._key(place.text, None if place.is_url else self._inside(place.text))
            if key is not None:
                found[key_name(place.text)] = key
        for text in self._named.keys:
            key = self._key(text, Path(text))
            if key is not None:
                found[key_name(text)] = key
        return found

    def _is_elsewhere(self, key: NamedPlace) -> bool:
        """Return whether a key is a file that melange reads, and that is not the directory's."""
        return not (key.is_url or key.is_inside) and self._inside(key.text) is None

    def _key(self, text: str, path: Path | None) -> PublicKey | None:
        if text not in self._keys:
            data = None if "://" in text or path is None else _read_file(path)
            self._keys[text] = None if data is None else self._take_key(text, data)
        return self._keys[text]

    def _take_key(self, text: str, data: bytes) -> PublicKey | None:
        key = read_public_key(data)
        if key is None:
            what = "a web page" if is_web_page(data) else "no RSA key in PEM"
            self._faults[f"the key {redact(text)} is {what}, and counts for nothing"] = {}
        return key

    def _fetch_key(self, url: str) -> PublicKey | None:
        assert self._strange_fetcher is not None  # noqa: S101  # there is a URL
        if time.monotonic() > self._until and url not in self._named.keys:
            return None
        try:
            answer = self._strange_fetcher.get(url, PUBLIC_KEY)
        except (Unreachable, DagError) as error:
            self._faults[f"the key {redact(url)} could not be fetched: {error}"] = {}
            return None
        if answer.status != 200:
            is_gone = answer.status in (404, 410)
            fault = "is not there" if is_gone else "could not be fetched"
            self._faults[f"the key {redact(url)} {fault}: HTTP {answer.status}"] = {}
            return None
        return self._take_key(url, answer.body)

    # ---- words --------------------------------------------------------------------------------

    def _words(self) -> Iterator[str]:
        for trust in self._trusts.values():
            yield from trust.refused
        for fault, users in self._faults.items():
            yield f"{fault}; named in {some(list(users), 3)}" if users else fault


def _read_file(path: Path) -> bytes | None:
    try:
        return read_bytes(path, PUBLIC_KEY)
    except (OSError, DagError):
        return None
