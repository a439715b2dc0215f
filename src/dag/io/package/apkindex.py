"""Reading the APKINDEX of a repository, which is a directory or a URL."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from dag.core.arch import Arch
from dag.core.limits import PACKAGE_INDEX, PACKAGE_MEMBERS, TooLarge
from dag.core.package.apkindex import FILE_NAME, BrokenIndex, Entry, PackageRepository, read_index
from dag.core.tar import TarReader
from dag.core.web import redact
from dag.errors import InfrastructureError, UsageError
from dag.io.archives import gunzip, limit_pieces, reader_of
from dag.io.files import read_bytes

TIMEOUT = 60.0
"""How many seconds a server may be silent."""


def repository(places: Iterable[str], arch: Arch) -> PackageRepository:
    """Return the packages of `places` (directories or URLs, with or without the arch at the end).

    Raises:
        UsageError: there is no index, or it is broken.
        InfrastructureError: the server does not answer as it should.

    """
    return PackageRepository(entry for place in places for entry in _entries(place, arch))


def _entries(place: str, arch: Arch) -> list[Entry]:
    where, archive = (_download if "://" in place else _local)(place, arch)
    try:
        return read_index(_text(archive, where))
    except TooLarge:
        raise
    except (BrokenIndex, ValueError) as error:
        hint = "make it anew with `melange index`, or name another repository"
        raise UsageError(f"{where} is not an index: {error}", hint=hint) from error


def _local(place: str, arch: Arch) -> tuple[str, bytes]:
    root = Path(place)
    candidates = [root / arch.apk / FILE_NAME, root / FILE_NAME]
    if root.name == FILE_NAME:
        candidates = [root]
    for path in candidates:
        try:
            return str(path), read_bytes(path, PACKAGE_INDEX)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    raise UsageError(
        f"{place} has no {FILE_NAME} for {arch.apk}",
        hint=f"a repository is a directory or URL with {arch.apk}/{FILE_NAME} in it",
    )


def _download(place: str, arch: Arch) -> tuple[str, bytes]:
    import httpx2

    from dag.io.web import NoCookies, check_proxies, tls_context

    try:
        parts = urlsplit(place)
    except ValueError as error:
        # The error's text may have the user and the password in it.
        why = "" if "@" in str(error) else f": {error}"
        raise UsageError(f"{redact(place)} is not a URL{why}", hint="correct it") from None
    if parts.scheme not in ("http", "https"):
        raise UsageError(
            f"{place} is neither a directory nor an http(s) URL", hint="name one of these"
        )
    path = parts.path.rstrip("/")
    if not path.endswith(f"/{FILE_NAME}"):
        path += f"/{FILE_NAME}" if path.endswith(f"/{arch.apk}") else f"/{arch.apk}/{FILE_NAME}"
    url = urlunsplit(parts._replace(path=path))
    shown = urlunsplit(parts._replace(path=path, netloc=parts.netloc.rpartition("@")[2], query=""))
    check_proxies()
    client = httpx2.Client(
        timeout=TIMEOUT, follow_redirects=True, cookies=NoCookies(), verify=tls_context()
    )
    try:
        with client, client.stream("GET", url) as response:
            if response.status_code == 404:
                raise UsageError(
                    f"{shown} is not there", hint="correct --repository or --arch, and try again"
                )
            if response.status_code != 200:
                raise InfrastructureError(f"{shown} answered with HTTP {response.status_code}")
            return shown, b"".join(limit_pieces(response.iter_raw(), PACKAGE_INDEX, shown))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise InfrastructureError(
            f"{shown} cannot be read: {error}", hint="is the URL right, and the server reachable?"
        ) from error


def _text(archive: bytes, where: str = FILE_NAME) -> str:
    # An index is two gzip streams with a tar each: the signature's, and its own.
    unpacked = reader_of(limit_pieces(gunzip([archive]), PACKAGE_INDEX, where))
    reader = TarReader(unpacked, PACKAGE_MEMBERS, where, joined=True)
    for member in reader:
        if member.name == "APKINDEX" and member.is_file:
            return b"".join(reader.blocks()).decode(errors="replace")
    raise BrokenIndex("there is no APKINDEX in the archive")
