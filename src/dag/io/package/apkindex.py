"""Reading the APKINDEX of a repository, which is a directory or a URL."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from dag.core.arch import Arch
from dag.core.package.apkindex import FILE_NAME, BrokenIndex, Entry, PackageRepository, read_index
from dag.core.sources.downloads import redact
from dag.errors import InfrastructureError, UsageError

MAX_BYTES = 256 * 1024 * 1024
"""The largest archive, and the largest text in it, that is read; Wolfi's index has 50 MB of text."""
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
        return read_index(_text(archive))
    except (BrokenIndex, OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        hint = "make it anew with `melange index`, or name another repository"
        raise UsageError(f"{where} is not an index: {error}", hint=hint) from error


def _local(place: str, arch: Arch) -> tuple[str, bytes]:
    root = Path(place)
    candidates = [root / arch.apk / FILE_NAME, root / FILE_NAME]
    if root.name == FILE_NAME:
        candidates = [root]
    for path in candidates:
        try:
            with path.open("rb") as file:
                return str(path), file.read(MAX_BYTES + 1)
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
            data = bytearray()
            for chunk in response.iter_raw():
                data += chunk
                if len(data) > MAX_BYTES:
                    break
            return shown, bytes(data)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise InfrastructureError(
            f"{shown} cannot be read: {error}", hint="is the URL right, and the server reachable?"
        ) from error


def _text(archive: bytes) -> str:
    # An index is two gzip streams, the tar of the signature and that of the index, read as one.
    with gzip.open(io.BytesIO(archive)) as stream:
        data = stream.read(MAX_BYTES + 1)
    if max(len(archive), len(data)) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as tar:
        for member in tar:
            if member.name == "APKINDEX":
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None:
                    return file.read().decode(errors="replace")
    raise ValueError("the archive has no APKINDEX")
