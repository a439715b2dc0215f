"""Reads the APKINDEX of a repository: a directory, or a URL."""

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
from dag.core.web import redact
from dag.errors import InfrastructureError, UsageError

MAX_BYTES = 256 * 1024 * 1024
"""Of the archive, and of the text in it; Wolfi's index has 50 MB of text."""
TIMEOUT = 60.0


def repository(places: Iterable[str], arch: Arch) -> PackageRepository:
    """Read the indexes of `places` (directories or URLs, with or without the arch at the end).

    Raises:
        UsageError: there is no index, or it is broken.
        InfrastructureError: the server doesn't answer as it should.

    """
    return PackageRepository(entry for place in places for entry in _entries(place, arch))


def _entries(place: str, arch: Arch) -> list[Entry]:
    where, archive = (_download if "://" in place else _local)(place, arch)
    try:
        return read_index(_text(archive))
    except (BrokenIndex, OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        hint = "make it anew with `melange index`, or name another repository"
        raise UsageError(f"{where}: not an index: {error}", hint=hint) from error


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
            raise UsageError(f"{path}: {error.strerror}") from error
    raise UsageError(
        f"{place}: no {FILE_NAME} for {arch.apk} here",
        hint=f"a repository is a directory or URL with {arch.apk}/{FILE_NAME} in it",
    )


def _download(place: str, arch: Arch) -> tuple[str, bytes]:
    import httpx2

    from dag.io.web import NoCookies, check_proxies, tls_context

    try:
        parts = urlsplit(place)
    except ValueError as error:
        # What is said of the host may have the user and the password in it.
        why = "this is no URL" if "@" in str(error) else error
        raise UsageError(f"{redact(place)}: {why}", hint="is the URL right?") from None
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"{place}: neither a directory nor an http(s) URL")
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
                raise UsageError(f"{shown}: no index there", hint="see --repository and --arch")
            if response.status_code != 200:
                raise InfrastructureError(f"{shown}: HTTP {response.status_code}")
            data = bytearray()
            for chunk in response.iter_raw():
                data += chunk
                if len(data) > MAX_BYTES:
                    break
            return shown, bytes(data)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise InfrastructureError(f"{shown}: {error}", hint="is the URL right?") from error


def _text(archive: bytes) -> str:
    # An index is two gzip streams, the signature's tar and the index's: read as one.
    with gzip.open(io.BytesIO(archive)) as stream:
        data = stream.read(MAX_BYTES + 1)
    if max(len(archive), len(data)) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as tar:
        for member in tar:
            if member.name == "APKINDEX":
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None:
                    return file.read().decode(errors="replace")
    raise ValueError("there is no APKINDEX in the archive")
