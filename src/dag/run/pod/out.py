"""Brings built packages back from a Pod, through the API server's proxy to it, without any bucket."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dag.core.build.scripts import OUT_PORT
from dag.errors import BuildError, DagError, InfrastructureError, UsageError, first_of
from dag.io.image.tree import OUT_MARK
from dag.io.kube.api import ApiError, Kube
from dag.report.terminal import Terminal
from dag.report.words import count

_ATTEMPTS = 5
_PARALLEL = 4
_ALIVE_EVERY = 60.0
_LISTED = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True, slots=True)
class Target:
    """Where files go: packages below the architecture, the rest at the top or below `label`."""

    directory: Path
    label: str = ""

    def path(self, name: str) -> Path:
        """Give the place of the workspace's file `name`."""
        inside = name.removeprefix("packages/")
        return self.directory / (inside if inside != name else Path(self.label, name))


async def collect(
    kube: Kube, pod_path: str, run: str, out: Target, terminal: Terminal
) -> list[Path]:
    """Copy what the build left in `packages/` to `out`, and its log beside it; answers the files.

    Every file is verified by its SHA-256 before it gets its name. Then the Pod may end.

    Raises:
        InfrastructureError: the Pod cannot be reached, what arrives is not what it has, or it cannot
            be written.
        BuildError: the Pod names files outside `packages/`.

    """
    listing = bytearray()
    await kube.download(kube.proxied(pod_path, OUT_PORT, f"cgi-bin/list-{run}"), listing.extend)
    files = parse_listing(listing.decode(errors="surrogateescape"))
    alive = asyncio.create_task(_keep_alive(kube, pod_path, run))
    slots = asyncio.Semaphore(_PARALLEL)

    async def fetch(name: str, digest: str) -> Path:
        target = out.path(name)
        async with slots:
            await _fetch(kube, kube.proxied(pod_path, OUT_PORT, f"{run}/{name}"), target, digest)
        return target

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetch(name, digest)) for name, digest in files.items()]
    except* DagError as group:
        raise first_of(group) from None
    finally:
        alive.cancel()
    await _fetch(kube, kube.proxied(pod_path, OUT_PORT, f"{run}/log"), out.path("build.log"), None)
    fetched = [task.result() for task in tasks]
    packages = sum(path.suffix == ".apk" for path in fetched)
    terminal.say(f"{count(packages, 'package')} and build.log brought back to {out.directory}")
    await end(kube, pod_path, run)
    return fetched


async def end(kube: Kube, pod_path: str, run: str) -> None:
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
        (directory / OUT_MARK).write_text("dag pod --out brought this back; no bundle has it.\n")
    except OSError as error:
        raise UsageError(
            f"--out {directory}: {error.strerror}", hint="name a directory that can be written to"
        ) from error


def parse_listing(text: str) -> dict[str, str]:
    """Read sha256sum's lines: path → digest in hexadecimal.

    Raises:
        BuildError: a path leaves `packages/`.

    """
    files: dict[str, str] = {}
    for line in text.splitlines():
        match = _LISTED.fullmatch(line)
        if match is None:
            raise InfrastructureError(f"the pod's list of packages has the odd line {line!r}")
        digest, name = match.groups()
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise BuildError(f"the build left a file that would land outside --out: {name!r}")
        files[name] = digest
    return files


async def _fetch(kube: Kube, path: str, target: Path, digest: str | None) -> None:
    try:
        await _bring(kube, path, target, digest)
    except OSError as error:
        raise InfrastructureError(
            f"{error.filename2 or error.filename or target}: {error.strerror}",
            hint="name another directory with --out, or make room there",
        ) from error


async def _bring(kube: Kube, path: str, target: Path, digest: str | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Several commands may have one directory.
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                arrived = await _download(kube, path, partial)
            except ApiError as error:
                reason = error.message
            else:
                if digest in (None, arrived):
                    partial.replace(target)
                    return
                reason = f"SHA-256 is {arrived}, the pod has {digest}"
            if attempt < _ATTEMPTS:
                await asyncio.sleep(attempt)
    finally:
        partial.unlink(missing_ok=True)
    raise InfrastructureError(f"{target.name} did not arrive whole: {reason}")


async def _download(kube: Kube, path: str, target: Path) -> str:
    """Write what is served at `path` to `target`; answers its SHA-256 in hexadecimal."""
    hashed = hashlib.sha256()
    with target.open("wb") as file:

        def write(chunk: bytes) -> None:
            hashed.update(chunk)
            file.write(chunk)

        await kube.download(path, write)
    return hashed.hexdigest()


async def _keep_alive(kube: Kube, pod_path: str, run: str) -> None:
    while True:
        await asyncio.sleep(_ALIVE_EVERY)
        try:
            await _call(kube, pod_path, f"alive-{run}")
        except ApiError:
            continue  # the copying itself will say if the pod is out of reach


async def _call(kube: Kube, pod_path: str, script: str) -> None:
    await kube.download(kube.proxied(pod_path, OUT_PORT, f"cgi-bin/{script}"), lambda _: None)
