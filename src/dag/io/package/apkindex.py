"""Reading the APKINDEX of a repository, which is a directory or a URL."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from dag.core.arch import Arch
from dag.core.limits import PACKAGE_INDEX, PACKAGE_MEMBERS, SIGNATURES, TooLarge
from dag.core.package.apkindex import (
    INDEX_FILE,
    BrokenIndex,
    IndexEntry,
    PackageRepository,
    read_index,
)
from dag.core.package.repositories import hosts_of
from dag.core.package.signature import PublicKey, Signature, read_signature, verify
from dag.core.tar import TarReader
from dag.core.web import is_web_page, redact, status_hint
from dag.errors import InfrastructureError, UsageError
from dag.io.archives import gunzip, limit_pieces, reader_of
from dag.io.files import read_bytes
from dag.io.package import indexcache

if TYPE_CHECKING:
    from dag.io.package.reach import Fetcher

_GZIP = 31
"""For zlib: gzip's header and trailer, and the largest window."""


@dataclass(frozen=True)
class Index:
    """An index, as a repository has it."""

    where: str
    """Its file or URL, as it may be shown."""
    repository: str
    """The directory or URL above its architecture."""
    data: bytes

    @cached_property
    def entries(self) -> list[IndexEntry]:
        """Return the packages that it lists.

        Raises:
            UsageError: it is broken.

        """
        try:
            return read_index(index_text(self.data, self.where), self.repository)
        except TooLarge:
            raise
        except (BrokenIndex, ValueError) as error:
            why, hint = str(error), "make it anew with `melange index`, or name another repository"
            if is_web_page(self.data):
                why, hint = (
                    "it is a web page",
                    "is the URL right, and does the server want a login?",
                )
            raise UsageError(f"{self.where} is not an index: {why}", hint=hint) from error

    @cached_property
    def _signed(self) -> tuple[list[Signature], dict[str, bytes]]:
        """Return the signatures that it begins with, and the hashes of all that follows them."""
        unpacker = zlib.decompressobj(_GZIP)
        head = unpacker.decompress(self.data, SIGNATURES.most)
        if not unpacker.eof:
            raise ValueError("it begins with no signature")
        archive = TarReader(reader_of([head]), PACKAGE_MEMBERS, self.where)
        found = []
        for member in archive:
            one = read_signature(member.name, b"".join(archive.blocks()))
            if one is not None:
                found.append(one)
        rest = unpacker.unused_data
        # Repositories sign with SHA-1 to this day: apko and apk-tools accept it.
        sha1 = hashlib.sha1(rest, usedforsecurity=False)
        return found, {"sha1": sha1.digest(), "sha256": hashlib.sha256(rest).digest()}

    def distrust(self, keys: Mapping[str, PublicKey]) -> str | None:
        """Return why apko would not take it, given the keys by their names; None if it would."""
        try:
            signatures, hashes = self._signed
        except (ValueError, zlib.error):
            return "is not signed"
        if not signatures:
            return "has no signature that can be verified"
        names = " or ".join(dict.fromkeys(one.key for one in signatures))
        if not any(
            one.key in keys or one.key.removesuffix(".rsa.pub") in keys for one in signatures
        ):
            return f"is signed with {names}, which is no trusted key"
        if not verify(signatures, hashes, keys):
            return f"has a wrong signature for {names}"
        return None


def repository(places: Iterable[str], arch: Arch) -> PackageRepository:
    """Return the packages of `places` (directories or URLs, with or without the arch at the end).

    Raises:
        UsageError: there is no index, or it is broken.
        InfrastructureError: the server does not answer as it should.

    """
    places = list(places)
    fetcher = None
    if any("://" in place for place in places):
        from dag.io.package.reach import Fetcher, Reach

        fetcher = Fetcher(Reach(hosts_of(places)))
    return PackageRepository(
        entry for place in places for entry in open_index(place, arch, fetcher).entries
    )


def open_index(place: str, arch: Arch, fetcher: Fetcher | None) -> Index:
    """Return the index of a directory or a URL, with or without the arch at the end.

    Raises:
        UsageError: there is none.
        InfrastructureError: the server does not answer as it should, or may not be asked.

    """
    if "://" not in place:
        return _local(place, arch)
    # Its import takes long, and whoever reads an index need not ask a server.
    from dag.io.package.reach import Fetcher, Reach

    return _download(place, arch, fetcher or Fetcher(Reach()))


def _local(place: str, arch: Arch) -> Index:
    root = Path(place)
    candidates = [root / arch.apk / INDEX_FILE, root / INDEX_FILE]
    if root.name == INDEX_FILE:
        candidates = [root]
    for path in candidates:
        try:
            data = read_bytes(path, PACKAGE_INDEX)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {error.strerror}",
                hint="make it readable, or leave out the -r that names it",
            ) from error
        above = path.parent
        return Index(str(path), str(above.parent if above.name == arch.apk else above), data)
    raise UsageError(
        f"{place} has no {INDEX_FILE} for {arch.apk}",
        hint=f"a repository is a directory or URL with {arch.apk}/{INDEX_FILE} in it",
    )


def _download(place: str, arch: Arch, fetcher: Fetcher) -> Index:
    try:
        parts = urlsplit(place)
    except ValueError:  # its text may have the user and the password in it
        raise UsageError(
            f"{redact(place)} is not a URL", hint="write it like https://packages.example.org/os"
        ) from None
    if parts.scheme not in ("http", "https"):
        raise UsageError(
            f"{place} is neither a directory nor an http(s) URL", hint="name one of these"
        )
    path = parts.path.rstrip("/").removesuffix(f"/{INDEX_FILE}").removesuffix(f"/{arch.apk}")
    root = urlunsplit(parts._replace(path=path))
    url = urlunsplit(parts._replace(path=f"{path}/{arch.apk}/{INDEX_FILE}"))
    return Index(redact(url), root, _fetch(url, fetcher))


def _fetch(url: str, fetcher: Fetcher) -> bytes:
    from dag.io.package.patience import Unreachable

    shown = redact(url)
    kept = indexcache.load(url)
    try:
        answer = fetcher.get(
            url, PACKAGE_INDEX, {} if kept is None else {"If-None-Match": kept.etag}
        )
    except Unreachable as error:
        raise InfrastructureError(
            f"{shown} cannot be read: {error}", hint="is the URL right, and the server reachable?"
        ) from error
    if answer.status == 304 and kept is not None:
        indexcache.touch(url)
        return kept.data
    if answer.status == 404:
        raise UsageError(
            f"{shown} is not there", hint="correct --repository or --arch, and try again"
        )
    if answer.status != 200:
        raise InfrastructureError(
            f"{shown} answered with HTTP {answer.status}", hint=status_hint(url, answer.status)
        )
    if etag := answer.headers.get("etag"):
        indexcache.store(url, etag, answer.body)
    return answer.body


def index_text(archive: bytes, where: str = INDEX_FILE) -> str:
    """Return the text of an APKINDEX.tar.gz, whether it is signed or not.

    Raises:
        ValueError: it is none.
        TooLarge: it is over the limit.

    """
    # An index is two gzip streams with a tar each: the signature's, and its own.
    unpacked = reader_of(limit_pieces(gunzip([archive]), PACKAGE_INDEX, where))
    reader = TarReader(unpacked, PACKAGE_MEMBERS, where, joined=True)
    for member in reader:
        if member.name == "APKINDEX" and member.is_file:
            return b"".join(reader.blocks()).decode(errors="replace")
    raise BrokenIndex("there is no APKINDEX in the archive")
