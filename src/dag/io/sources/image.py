"""The cache as an image: pushes one, and takes files from one, each of them verified again."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from dag.core.image.archive import Directory, File, file_of
from dag.core.image.descriptors import parse_digest, parse_object
from dag.core.image.layers import BUNDLE_ROOT, base_layers
from dag.core.image.references import parse_reference
from dag.core.limits import CACHE_LAYER_MEMBERS, GIT_STATE, TooLarge
from dag.core.sources.downloads import SourceDigest, is_cache_name
from dag.core.sources.gitconfig import (
    CONFIG_NAME,
    ENV_FILE,
    ENV_NAME,
    REDIRECT,
    git_config,
    redirect_config,
)
from dag.core.sources.gitstate import STATE_FILE
from dag.core.tar import BrokenArchive, Member, TarReader
from dag.errors import InfrastructureError, UsageError
from dag.io.archives import DamagedStream, reader_of, unpack
from dag.io.files import make_directory
from dag.io.locks import lock, try_lock
from dag.io.sources.git.stored import GIT, read_states, redirected_uris
from dag.io.sources.part import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dag.core.image.archive import Entry
    from dag.core.image.descriptors import Blob
    from dag.core.image.references import Reference
    from dag.io.image.registry.repository import ImageRepository
    from dag.io.sources.cache import Cache

_GIT_FILE = re.compile(
    r"HEAD|shallow|packed-refs|dag\.json|refs/(?:heads|tags)/.+|objects/pack/pack-[0-9a-f]+\.(?:pack|idx)"
)
"""The files of a repository that a clone reads; not `config`, which could name programs to run."""


_NO_NAME = frozenset({errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG})
"""Errors that say that a name is none, and nothing of the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The files and repositories that an image brought, and its reference by digest."""

    reference: str
    files: int
    """Files that the cache did not have."""
    present: int
    """Files that it had."""
    repositories: int
    bytes: int
    """The size of `files` in all."""


@dataclass(slots=True)
class _Filling:
    """The files that have come of an image so far, in all attempts."""

    cache: Cache
    max_size: int
    files: int = 0
    present: int = 0
    bytes: int = 0


def image_entries(cache: Cache, names: Iterable[str], paths: Iterable[str]) -> list[Entry]:
    """Return what the image of a cache holds: the files `names`, the repositories `paths`.

    Those that are not in the cache are left out.
    """
    files = {name: cache.directory / name for name in sorted(set(names))}
    found: list[Entry] = [_file(name, path) for name, path in files.items() if _is_file(path)]
    states = read_states(cache)
    taken = {path: states[path] for path in sorted(set(paths) & set(states))}
    for path, state in taken.items():
        directory = cache.directory / GIT / f"{path}.git"
        prefix = f"{GIT}/{path}.git"
        for file in sorted(directory.rglob("*")):
            relative = file.relative_to(directory).as_posix()
            if _is_file(file) and _GIT_FILE.fullmatch(relative):
                found.append(_file(f"{prefix}/{relative}", file))
        # Without these two directories git takes it for no repository.
        found += [Directory(f"{prefix}/{name}") for name in ("objects", "refs")]
        found.append(file_of(f"{prefix}/config", b"[core]\n\tbare = true\n"))
        text = redirect_config(path, state.bases_of(path))
        found.append(file_of(f"{prefix}/{REDIRECT}", text.encode()))
    found.append(file_of(CONFIG_NAME, git_config(redirected_uris(taken)).encode()))
    found.append(file_of(ENV_NAME, ENV_FILE.encode()))
    return found


@contextmanager
def staging(cache: Cache) -> Iterator[Path]:
    """Make a directory that is this process's alone, and remove it, and those of the dead."""
    incoming = make_directory(cache.private, PurePath("incoming"))
    with ExitStack() as held:
        # So that nobody takes the new one for one that was left.
        with lock(cache.private / "incoming.lock"):
            for left in incoming.iterdir():
                with suppress(OSError):
                    if (abandoned := try_lock(left / "lock")) is not None:
                        shutil.rmtree(left)
                        abandoned.release()
            directory = Path(tempfile.mkdtemp(dir=incoming))
            held.enter_context(lock(directory / "lock"))
        held.callback(shutil.rmtree, directory, ignore_errors=True)
        yield directory


def fill(
    cache: Cache,
    directory: Path,
    reference: str,
    *,
    insecure: bool = False,
    max_size: int = 8 << 30,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Filled, list[Path]]:
    """Take the files of an image into a cache; repositories are staged, to be verified.

    No file may have more than `max_size` bytes. Returns what came, and the directories of the
    staged repositories, relative to `git/` below `directory`, which is one of `staging`.

    Raises:
        UsageError: this is no image reference, or the image has no cache in it.
        RegistryError: the registry fails, or has no such image.
        InfrastructureError: a file of the image is not what its name says, or cannot be written.

    """
    from dag.io.image.registry.repository import ImageRepository, require_digest
    from dag.io.image.registry.requests import RegistryTransport

    image = parse_reference(reference)
    filling = _Filling(cache, max_size)
    with RegistryTransport(image.host, insecure=insecure) as transport:
        repository = ImageRepository(transport, image.repository)
        digest = image.digest or require_digest(repository, image)
        resolved = image.with_digest(digest)
        progress(f"cache from {resolved}")
        found = False
        for blob in _layers(repository, resolved):
            # What an attempt that broke off has brought is present for the next.
            take = partial(_take_layer, filling, repository, blob, directory)
            found |= transport.retry(take)
            progress(f"read {blob.digest[:19]} ({blob.size:,} bytes)")
    cache.settle()
    if not found:
        raise UsageError(
            f"{resolved} has no cache in it: there is nothing in its /{BUNDLE_ROOT}",
            hint="`dag cache --bundle-repo` makes and names such images",
        )
    staged = sorted(
        path.parent.relative_to(directory / GIT)
        for path in (directory / GIT).rglob(f"*.git/{STATE_FILE}")
    )
    filled = Filled(
        reference=str(resolved),
        files=filling.files,
        present=filling.present,
        repositories=len(staged),
        bytes=filling.bytes,
    )
    return filled, staged


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


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
    filling: _Filling, repository: ImageRepository, blob: Blob, directory: Path
) -> bool:
    """Take what the layer has of a cache; return whether it has any.

    Raises:
        InfrastructureError: the layer is damaged, or has a file that is not what its name says.

    """
    found = False
    where = f"layer {blob.digest}"
    # Closed even when this ends before the last piece, so that the connection is, too.
    with closing(repository.read_blob(blob)) as pieces:
        try:
            archive = TarReader(reader_of(unpack(pieces)), CACHE_LAYER_MEMBERS, where)
            for member in archive:
                inside, _, name = member.name.removeprefix("./").partition("/")
                if inside != BUNDLE_ROOT or not member.is_file:
                    continue
                found = True
                if member.size > filling.max_size:
                    raise _refusal(name, f"has more than --max-size ({filling.max_size} bytes)")
                if is_cache_name(name):
                    _take_file(filling, directory, name, archive.blocks())
                else:
                    _stage(directory, name, member, archive.blocks())
        except (BrokenArchive, DamagedStream) as error:
            raise InfrastructureError(f"{where} is damaged: {error}") from error
        except TooLarge as error:
            raise InfrastructureError(error.message) from error
        # What the archive does not need still counts for the blob's digest.
        for _ in pieces:
            pass
    return found


def _take_file(filling: _Filling, directory: Path, name: str, data: Iterator[bytes]) -> None:
    cache = filling.cache
    algorithm, _, hexadecimal = name.partition(":")
    digests = (SourceDigest.parse(algorithm, hexadecimal),)
    # Whoever fetches it just now has its part; which of both gets the name first does not matter.
    part = cache.try_part(digests, directory)
    assert part is not None  # noqa: S101  # the directory is ours
    try:
        if not cache.check(digests).missing:
            filling.present += 1
            return
        part.restart()
        for block in data:
            part.write(block)
        wrong = part.find_mismatch()
        if wrong is not None:
            raise _refusal(name, f"is not what its name says: its hash is {wrong[1]}")
        cache.commit(part, digests)
        filling.files += 1
        filling.bytes += part.size
    finally:
        part.close()


def _stage(directory: Path, name: str, member: Member, data: Iterator[bytes]) -> None:
    repository, mark, relative = name.partition(".git/")
    plain = PurePosixPath(name)
    if not mark or not repository.startswith(f"{GIT}/") or not _GIT_FILE.fullmatch(relative):
        return
    if "\0" in name or any(part in ("", ".", "..") or part.startswith("-") for part in plain.parts):
        return
    if not relative.startswith("objects/"):  # it is read as a whole
        GIT_STATE.check(member.size, f"the image's {name}")
    path = directory / plain
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(data)
    except OSError as error:
        if error.errno not in _NO_NAME:
            raise
        raise _refusal(repr(name), "can be no file") from error


def _refusal(name: str, why: str) -> InfrastructureError:
    return InfrastructureError(f"the image's {name} {why}")
