"""Fetches built packages from a Pod, through the API server's proxy to it, without any bucket."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dag.core.build.scripts import OUT_PORT
from dag.core.limits import (
    BUILD_LOG,
    BUILT_PACKAGE,
    OUT_ANSWER,
    OUT_LISTING,
    PACKAGE_INDEX,
    PUBLIC_KEY,
    Limit,
)
from dag.errors import BuildError, DagError, InfrastructureError, UsageError, first_of
from dag.io import durable
from dag.io.files import sha256_of
from dag.io.image.tree import OUT_MARK
from dag.io.kube.api import ApiError, Kube
from dag.io.retries import RetryPolicy, retry_async
from dag.report.terminal import Terminal
from dag.report.words import count, some

_RETRIES = RetryPolicy(attempts=5, first=1.0)
_START = RetryPolicy(attempts=12, first=0.2, longest=5.0)
_PARALLEL = 4
_ALIVE_EVERY = 60.0
_LISTED = re.compile(r"([0-9a-f]{64})  (.+)")
_PACKAGE = re.compile(r"packages/(?P<arch>[a-z0-9_]+)/[A-Za-z0-9][A-Za-z0-9+_.~-]*\.apk")
_INDEX = re.compile(r"packages/(?P<arch>[a-z0-9_]+)/APKINDEX\.tar\.gz")
_PUBLIC_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*\.pub")
_FILE = re.compile(r"packages/(?:[^/.\0][^/\0]*/)*[^/.\0][^/\0]*")
"""A file that a Makefile may well leave beside packages, but that nobody asked for."""


@dataclass(frozen=True, slots=True)
class OutTarget:
    """The place of what is brought back: packages below their architecture, the rest below `label`."""

    directory: Path
    arch: str
    """As apk names it."""
    label: str = ""

    def path(self, name: str) -> Path:
        """Return the place of the workspace's file `name`."""
        inside = name.removeprefix("packages/")
        return self.directory / (inside if inside != name else Path(self.label, name))


@dataclass(frozen=True, slots=True)
class PodListing:
    """The files of a pod that are brought back, and those that stay there."""

    files: dict[str, ListedFile]
    """By the name in the workspace."""
    others: list[str]


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that is brought back."""

    digest: str
    """The SHA-256 in hexadecimal, as the pod says."""
    limit: Limit


async def fetch_packages(
    kube: Kube, pod_path: str, run: str, target: OutTarget, terminal: Terminal
) -> DagError | None:
    """Copy what a build left in its Pod, and let the Pod end; return what went wrong.

    An error is returned and not raised, because how the build ended may weigh more.
    """
    error: DagError
    try:
        await copy_packages(kube, pod_path, run, target, terminal)
    except DagError as failed:
        error = failed
    except OSError as failed:
        error = InfrastructureError(f"{failed.filename}: {failed.strerror}")
    else:
        return None
    with suppress(DagError):  # then the Pod ends by itself, later
        await end_serving(kube, pod_path, run)
    return error


async def copy_packages(
    kube: Kube, pod_path: str, run: str, target: OutTarget, terminal: Terminal
) -> None:
    """Copy what the build left in `packages/`, and its log beside it, and let the Pod end.

    These are packages of the architecture that was built, their index and the public key, and
    nothing else. Every file is verified by its SHA-256 before it gets its name.

    Raises:
        InfrastructureError: the Pod cannot be reached, what arrives is not what it has or is too
            large, or it cannot be written.
        BuildError: the Pod names files outside `packages/`.

    """
    listing = await list_files(kube, pod_path, run, target.arch)
    if listing.others:
        left = f"{count(len(listing.others), 'file')} in packages/ that are no packages"
        terminal.say(f"{left} for {target.arch} stay in the pod: {some(listing.others)}")
    await copy_files(kube, pod_path, run, target, listing.files)
    log = kube.proxy_path(pod_path, OUT_PORT, f"{run}/log")
    await _fetch(kube, log, target.path("build.log"), BUILD_LOG, None)
    packages = count(sum(name.endswith(".apk") for name in listing.files), "package")
    terminal.say(f"{packages} and build.log brought back to {target.directory}")
    await end_serving(kube, pod_path, run)


async def list_files(kube: Kube, pod_path: str, run: str, arch: str) -> PodListing:
    """Ask a Pod what it serves; it may just be starting to.

    Raises:
        InfrastructureError: the Pod cannot be reached, or its list is odd or too long.
        BuildError: the Pod names files outside `packages/`.

    """
    path = kube.proxy_path(pod_path, OUT_PORT, f"list-{run}")

    async def attempt() -> bytes:
        listing = bytearray()
        await kube.download(path, _limited(listing.extend, OUT_LISTING))
        return bytes(listing)

    listing = await retry_async(attempt, _START, heals=_is_starting)
    return parse_listing(listing.decode(errors="surrogateescape"), arch)


async def copy_files(
    kube: Kube, pod_path: str, run: str, target: OutTarget, files: Mapping[str, ListedFile]
) -> None:
    """Copy files that a Pod serves, unless the directory has them; the Pod waits meanwhile.

    Raises:
        InfrastructureError: the Pod cannot be reached, what arrives is not what it has or is too
            large, or it cannot be written.

    """
    places = {target.path(name).parent for name in (*files, "build.log")}
    for below in places - {target.directory}:
        if below.is_symlink():
            raise InfrastructureError(
                f"{below} is a link, and --out writes through none",
                hint="remove it, or name another directory with --out",
            )
    alive = asyncio.create_task(_keep_alive(kube, pod_path, run))
    slots = asyncio.Semaphore(_PARALLEL)

    async def fetch(name: str, file: ListedFile) -> None:
        path = kube.proxy_path(pod_path, OUT_PORT, f"{run}/{name}")
        async with slots:
            if not await asyncio.to_thread(_has, target.path(name), file.digest):
                await _fetch(kube, path, target.path(name), file.limit, file.digest)

    failed: DagError | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for name, file in files.items():
                group.create_task(fetch(name, file))
    except* DagError as errors:
        failed = first_of(errors)
    finally:
        alive.cancel()
    if failed is not None:  # what is raised in except* is wrapped before Python 3.11.4
        raise failed


def _has(path: Path, digest: str) -> bool:
    """Return whether a file is there as it should be."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(file).st_mode) and sha256_of(file) == digest
    finally:
        os.close(file)


async def end_serving(kube: Kube, pod_path: str, run: str) -> None:
    """Tell the Pod that nobody will fetch anything any more.

    Raises:
        ApiError: the Pod cannot be reached.

    """
    await _call(kube, pod_path, f"end-{run}")


def prepare_directory(directory: Path, definitions: Path) -> None:
    """Make the directory of `--out`, before anything is built that could not be kept there.

    Raises:
        UsageError: no file can be made in it, or it is that of the definitions.

    """
    if directory.resolve() == definitions.resolve():
        raise UsageError(
            "--out is the directory of the definitions, so the next bundle would have it all",
            hint=f"name a directory in it, like {definitions / 'packages'}",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        mark = b"dag pod --out brought this back; no bundle has it.\n"
        durable.write(directory / OUT_MARK, mark)
    except OSError as error:
        raise UsageError(
            f"--out {directory}: {error.strerror}", hint="name a directory that can be written to"
        ) from error


def parse_listing(text: str, arch: str) -> PodListing:
    """Read the lines of sha256sum, of a pod that builds for `arch`.

    Raises:
        InfrastructureError: a line is none of sha256sum.
        BuildError: a path is none that a build leaves below `packages/`.

    """
    files: dict[str, ListedFile] = {}
    others: list[str] = []
    for line in text.removesuffix("\n").split("\n") if text else ():
        match = _LISTED.fullmatch(line)
        if match is None:
            raise InfrastructureError(f"the pod's list of packages has the odd line {line[:200]!r}")
        digest, name = match.groups()
        if (limit := limit_of(name, arch)) is not None:
            files[name] = ListedFile(digest, limit)
        elif _FILE.fullmatch(name):
            others.append(name)
        else:
            raise BuildError(f"the build left a file that --out does not take: {name[:200]!r}")
    return PodListing(files, others)


def limit_of(name: str, arch: str) -> Limit | None:
    """Return how large a file may be by its name in the workspace; None if it is not taken."""
    if _PUBLIC_KEY.fullmatch(name):
        return PUBLIC_KEY
    for pattern, limit in ((_PACKAGE, BUILT_PACKAGE), (_INDEX, PACKAGE_INDEX)):
        if (match := pattern.fullmatch(name)) and match["arch"] == arch:
            return limit
    return None


def _limited(write: Callable[[bytes], object], limit: Limit) -> Callable[[bytes], None]:
    """Return a function that writes what comes until that is too much."""
    size = 0

    def counting(chunk: bytes) -> None:
        nonlocal size
        size += len(chunk)
        if size > limit.most:
            raise InfrastructureError(f"the pod sends more than {limit} for {limit.of}")
        write(chunk)

    return counting


async def _fetch(kube: Kube, path: str, target: Path, limit: Limit, digest: str | None) -> None:
    try:
        await _bring(kube, path, target, limit, digest)
    except OSError as error:
        raise InfrastructureError(
            f"{error.filename2 or error.filename or target}: {error.strerror}",
            hint="name another directory with --out, or make room there",
        ) from error


async def _bring(kube: Kube, path: str, target: Path, limit: Limit, digest: str | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)

    async def attempt() -> None:
        # Several commands may have one directory.
        with durable.replacing(target) as file:
            arrived = await _download(kube, path, file, limit)
            if digest not in (None, arrived):
                raise _OtherDigest(f"SHA-256 is {arrived}, the pod has {digest}")

    try:
        await retry_async(attempt, _RETRIES, heals=_may_heal)
    except (ApiError, _OtherDigest) as error:
        reason = f"{target.name} did not arrive whole: {error.message}"
        raise InfrastructureError(reason) from error


class _OtherDigest(InfrastructureError):
    """What arrived is not what the Pod has."""


def _is_starting(error: BaseException) -> bool:
    """Return whether the API server says that nobody listens at the Pod's port."""
    return isinstance(error, ApiError) and error.status in (502, 503)


def _may_heal(error: BaseException) -> bool:
    return isinstance(error, ApiError | _OtherDigest)


async def _download(kube: Kube, path: str, file: BinaryIO, limit: Limit) -> str:
    """Write what is served at `path` to a file; return its SHA-256 in hexadecimal."""
    hashed = hashlib.sha256()

    def write(chunk: bytes) -> None:
        hashed.update(chunk)
        file.write(chunk)

    await kube.download(path, _limited(write, limit))
    return hashed.hexdigest()


async def _keep_alive(kube: Kube, pod_path: str, run: str) -> None:
    while True:
        await asyncio.sleep(_ALIVE_EVERY)
        try:
            await _call(kube, pod_path, f"alive-{run}")
        except DagError:
            continue  # the copying itself will say if the pod is out of reach


async def _call(kube: Kube, pod_path: str, call: str) -> None:
    path = kube.proxy_path(pod_path, OUT_PORT, f"{call}")
    await kube.download(path, _limited(lambda _: None, OUT_ANSWER))
