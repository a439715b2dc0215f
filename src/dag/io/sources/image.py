"""The cache as an image: what is pushed, and what is taken from one, each file verified again."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import tarfile
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import RawIOBase
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

import zstandard

from dag.core.image.archive import Directory, File, content
from dag.core.image.descriptors import parse_digest, parse_object
from dag.core.image.layers import ROOT, base_layers
from dag.core.image.references import parse
from dag.core.sources.checkouts import (
    CONFIG_NAME,
    ENV_FILE,
    ENV_NAME,
    REDIRECT,
    git_config,
    redirect,
)
from dag.core.sources.downloads import Digest, is_cache_name
from dag.core.sources.gitstate import STATE
from dag.errors import DagError, InfrastructureError, UsageError
from dag.io.sources.cache import BLOCK, Cache
from dag.io.sources.git.stored import GIT, redirected, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from dag.core.image.archive import Entry
    from dag.core.image.descriptors import Blob
    from dag.core.image.references import Reference
    from dag.io.image.registry.repository import ImageRepository

_GIT_FILE = re.compile(
    r"HEAD|shallow|packed-refs|dag\.json|refs/(?:heads|tags)/.+|objects/pack/pack-[0-9a-f]+\.(?:pack|idx)"
)
"""Of a repository, what a clone reads; not its `config`, which could name programs to run."""


_NO_NAME = frozenset({errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What an image brought: the reference by digest, and counts."""

    reference: str
    files: int
    present: int
    repositories: int
    bytes: int


def entries(cache: Cache, names: Iterable[str], paths: Iterable[str]) -> list[Entry]:
    """List what the image of a cache holds: the files `names`, the repositories `paths`.

    Those that are not in the cache are left out.
    """
    files = {name: cache.directory / name for name in sorted(set(names))}
    found: list[Entry] = [_file(name, path) for name, path in files.items() if path.is_file()]
    states = stored(cache)
    taken = {path: states[path] for path in sorted(set(paths) & set(states))}
    for path, state in taken.items():
        directory = cache.directory / GIT / f"{path}.git"
        prefix = f"{GIT}/{path}.git"
        for file in sorted(directory.rglob("*")):
            relative = file.relative_to(directory).as_posix()
            if file.is_file() and _GIT_FILE.fullmatch(relative) and not file.is_symlink():
                found.append(_file(f"{prefix}/{relative}", file))
        # Without these two directories git takes it for no repository.
        found += [Directory(f"{prefix}/{name}") for name in ("objects", "refs")]
        found.append(content(f"{prefix}/config", b"[core]\n\tbare = true\n"))
        text = redirect(path, state.bases_of(path))
        found.append(content(f"{prefix}/{REDIRECT}", text.encode()))
    found.append(content(CONFIG_NAME, git_config(redirected(taken)).encode()))
    found.append(content(ENV_NAME, ENV_FILE.encode()))
    return found


@contextmanager
def staging(cache: Cache) -> Iterator[Path]:
    """Make a directory that is this process's alone, and remove it, and those of the dead."""
    incoming = cache.private / "incoming"
    incoming.mkdir(exist_ok=True)
    with ExitStack() as held:
        # So that nobody takes the new one for one that was left.
        with _locked(cache.private / "incoming.lock"):
            for left in incoming.iterdir():
                with suppress(OSError), _locked(left / "lock", wait=False):
                    shutil.rmtree(left)
            directory = Path(tempfile.mkdtemp(dir=incoming))
            held.enter_context(_locked(directory / "lock"))
        held.callback(shutil.rmtree, directory, ignore_errors=True)
        yield directory


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def fill(
    cache: Cache,
    directory: Path,
    reference: str,
    *,
    insecure: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Filled, list[Path]]:
    """Take the files of an image into a cache; repositories are staged, to be verified.

    Returns what came, and the directories of the staged repositories, relative to `git/` below
    `directory`, which is one of `staging`.

    Raises:
        UsageError: this is no image reference, or the image has no cache in it.
        RegistryError: the registry fails, or has no such image.
        InfrastructureError: a file of the image is not what its name says, or cannot be written.

    """
    from dag.io.image.registry.repository import ImageRepository, require_digest
    from dag.io.image.registry.requests import RegistryTransport

    image = parse(reference)
    counts = {"files": 0, "present": 0, "bytes": 0}
    with RegistryTransport(image.host, insecure=insecure) as transport:
        repository = ImageRepository(transport, image.repository)
        digest = image.digest or require_digest(repository, image)
        resolved = image.at(digest)
        progress(f"cache from {resolved}")
        found = False
        for blob in _layers(repository, resolved):
            # What an attempt that broke off has brought is present for the next.
            take = partial(_take_layer, cache, repository, blob, directory, counts)
            found |= transport.retrying(take)
            progress(f"read {blob.digest[:19]} ({blob.size:,} bytes)")
    if not found:
        raise UsageError(
            f"{resolved} has no cache in it: there is nothing in its /{ROOT}",
            hint="`dag cache --bundle-repo` makes and names such images",
        )
    staged = sorted(
        path.parent.relative_to(directory / GIT)
        for path in (directory / GIT).rglob(f"*.git/{STATE}")
    )
    filled = Filled(reference=str(resolved), repositories=len(staged), **counts)
    return filled, staged


def _file(name: str, path: Path) -> File:
    def read() -> Iterator[bytes]:
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                yield block

    return File(name, path.stat().st_size, read)


def _layers(repository: ImageRepository, image: Reference) -> list[Blob]:
    try:
        document = parse_object(repository.manifest(image.version).data)
        if "manifests" in document:
            # The layers of a cache are the same for every platform.
            first = _first_manifest(document["manifests"])
            document = parse_object(repository.manifest(first).data)
        return base_layers(document)
    except ValueError as error:
        raise UsageError(f"{image} is no image: {error}") from None


def _first_manifest(described: object) -> str:
    if not isinstance(described, list) or not described or not isinstance(described[0], dict):
        raise ValueError("its index is empty")
    return parse_digest(described[0].get("digest"))


def _take_layer(
    cache: Cache, repository: ImageRepository, blob: Blob, directory: Path, counts: dict[str, int]
) -> bool:
    """Take what the layer has of a cache; answers whether it has any."""
    found = False
    with ExitStack() as stack:
        pieces = repository.read_blob(blob)
        stack.callback(cast("Generator[bytes]", pieces).close)
        for name, data in _members(blob, cast("IO[bytes]", _Pieces(pieces))):
            found = True
            if is_cache_name(name):
                _take_file(cache, directory, name, data, counts)
            else:
                _stage(directory, name, data)
        # What the archive does not need still counts for the blob's digest.
        for _ in pieces:
            pass
    return found


def _members(blob: Blob, raw: IO[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The names and the bytes of a layer's files that are of a cache.

    Raises:
        InfrastructureError: the layer is damaged.

    """
    with _damage(blob), ExitStack() as stack:
        if blob.media_type.endswith("+zstd"):
            plain = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            archive = stack.enter_context(tarfile.open(fileobj=cast("IO[bytes]", plain), mode="r|"))
        else:
            archive = stack.enter_context(tarfile.open(fileobj=raw, mode="r|*"))
        for member in archive:
            inside, _, name = member.name.removeprefix("./").partition("/")
            if inside != ROOT or not member.isfile():
                continue
            data = archive.extractfile(member)
            assert data is not None  # noqa: S101  # it is a file
            yield name, _blocks(blob, data)


def _blocks(blob: Blob, data: IO[bytes]) -> Iterator[bytes]:
    while True:
        with _damage(blob):
            block = data.read(BLOCK)
        if not block:
            return
        yield block


@contextmanager
def _damage(blob: Blob) -> Iterator[None]:
    """Turn what readers of archives raise about bytes that are none into words."""
    try:
        yield
    except (DagError, GeneratorExit):
        raise
    except Exception as error:
        # tarfile and what it uses raise what they like: EOFError, ValueError, zlib.error, OSError
        # without a number. One with a number is about this machine.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InfrastructureError(f"layer {blob.digest} is damaged: {error}") from error


def _take_file(
    cache: Cache, directory: Path, name: str, data: Iterator[bytes], counts: dict[str, int]
) -> None:
    algorithm, _, hexadecimal = name.partition(":")
    digests = (Digest.parse(algorithm, hexadecimal),)
    # Whoever fetches it just now has its part; which of both gets the name first does not matter.
    part = cache.part(digests, directory)
    assert part is not None  # noqa: S101  # the directory is ours
    try:
        if not cache.check(digests).missing:
            counts["present"] += 1
            return
        part.restart()
        for block in data:
            part.write(block)
        wrong = part.mismatch()
        if wrong is not None:
            raise InfrastructureError(f"the image's {name} has other bytes: {wrong[1]}")
        cache.commit(part, digests)
        counts["files"] += 1
        counts["bytes"] += part.size
    finally:
        part.close()


def _stage(directory: Path, name: str, data: Iterator[bytes]) -> None:
    repository, mark, relative = name.partition(".git/")
    plain = PurePosixPath(name)
    if not mark or not repository.startswith(f"{GIT}/") or not _GIT_FILE.fullmatch(relative):
        return
    if "\0" in name or any(part in ("", ".", "..") or part.startswith("-") for part in plain.parts):
        return
    path = directory / plain
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(data)
    except OSError as error:
        if error.errno not in _NO_NAME:
            raise
        raise InfrastructureError(f"the image's {name!r} can be no file") from error


class _Pieces(RawIOBase):
    """Makes a file of what comes in pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        taken = self._rest[: len(view)]
        view[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)
