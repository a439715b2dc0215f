"""Reads a directory of definitions: every problem at once, unchanged files from a cache.

What is not in the cache is resolved in as many processes as there are processors, if it is enough
to be worth them.
"""

from __future__ import annotations

import gc
import os
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dag.core.arch import Arch
from dag.core.limits import PIPELINE
from dag.core.package.model import Package
from dag.core.package.names import FIX, clashes
from dag.errors import UsageError
from dag.io.files import read_bytes
from dag.io.package import parses

MAX_BYTES = 8 * 1024 * 1024
"""No definition is larger: the largest of Wolfi has 150 KB."""
SHARED_PIPELINES = Path("/usr/share/melange/pipelines")
"""Where melange itself looks before its built-in pipelines."""
WORTH_A_PROCESS = 150
"""Definitions that take longer to resolve than a process takes to start."""

Trouble = tuple[str, int, str, str]
"""File, line, what is wrong, what to do."""


class _File(NamedTuple):
    name: str
    data: bytes
    key: bytes


def read(
    directory: Path,
    *,
    arch: str,
    pipeline_dirs: Sequence[Path] = (),
    build_options: Sequence[str] = (),
    cached: bool = True,
) -> tuple[Package, ...]:
    """Read every definition at the top level of `directory`, resolved for `arch`, by name.

    Pipelines are looked for in `directory`/pipelines, then in `pipeline_dirs`, then where an
    installed melange keeps its own, then in the built-in table. A definition that is not for `arch`
    is read too: `Package.builds_on` tells.

    Raises:
        UsageError: naming every problem of every file.

    """
    wanted = Arch.parse(arch)
    with _no_collections():
        own = local_pipelines(directory, pipeline_dirs)
        salt = parses.salt(
            [
                wanted.apk.encode(),
                *(option.encode() for option in build_options),
                b"",
                *(part for use, (_, text) in own.items() for part in (os.fsencode(use), text)),
            ]
        )
        files, troubles = _files(directory, salt)
        entries = parses.load(directory, wanted.apk) if cached else {}
        known = {file.key: entries[file.key] for file in files if file.key in entries}
        new = [file for file in files if file.key not in known]
        if new:
            resolver = _DefinitionResolver(wanted, own, tuple(build_options))
            made, found = resolver.all(new)
            troubles += found
            known |= made
        if cached and (new or len(known) != len(entries)):
            parses.store(directory, wanted.apk, known)
        packages = [
            parses.restored(kept) for file in files if (kept := known.get(file.key)) is not None
        ]
        packages.sort(key=lambda package: package.name)
        troubles += [(*clash, FIX) for clash in clashes(packages)]
    if troubles:
        raise _error(directory, troubles)
    if not packages:
        raise UsageError(
            f"{directory}: there are no package definitions here",
            hint="a definition is a *.yaml file with a `package:` mapping, at the top level; "
            "if they are elsewhere, say where with --dir",
        )
    return tuple(packages)


def _error(directory: Path, troubles: list[Trouble]) -> UsageError:
    lines = [
        f"{directory / file}:{line}: {what}; {fix}"
        for file, line, what, fix in sorted(set(troubles))
    ]
    if len(lines) == 1:
        return UsageError(lines[0])
    return UsageError("\n".join([f"{len(lines)} problems in the definitions", *lines]))


@contextmanager
def _no_collections() -> Iterator[None]:
    # Tens of thousands of tuples that all stay: each collection would only walk over them.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def local_pipelines(directory: Path, pipeline_dirs: Sequence[Path]) -> dict[str, tuple[str, bytes]]:
    """The pipelines that are files: `uses` → (file, text); the first place that has one wins."""
    places = [directory / "pipelines", *pipeline_dirs, *installed_pipelines()]
    found: dict[str, tuple[str, bytes]] = {}
    for place in places:
        if place.is_dir():
            for uses, path in _walk(os.fspath(place), "", frozenset()):
                if uses not in found:
                    found[uses] = (path, read_bytes(Path(path), PIPELINE))
    return found


def _walk(directory: str, prefix: str, above: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Find the YAML files below `directory`; links are followed, but not round in circles."""
    real = os.path.realpath(directory)
    if real in above:
        return
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir():
            yield from _walk(entry.path, f"{prefix}{entry.name}/", above | {real})
        elif entry.name.endswith(".yaml") and entry.is_file():
            yield prefix + entry.name.removesuffix(".yaml"), entry.path


def installed_pipelines() -> list[Path]:
    """Where an installed melange keeps its pipelines as files."""
    places = [SHARED_PIPELINES]
    program = shutil.which("melange")
    if program:
        places.insert(0, Path(program).resolve().parent.parent / "share" / "melange" / "pipelines")
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def _files(directory: Path, salt: bytes) -> tuple[list[_File], list[Trouble]]:
    files: list[_File] = []
    troubles: list[Trouble] = []
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".yaml"))
    except OSError as error:
        raise UsageError(f"{directory}: {error.strerror}", hint="see --dir") from error
    base = os.fspath(directory)
    for name in names:
        if not name.isprintable():  # not UTF-8 neither: those bytes became surrogates
            troubles.append((ascii(name), 1, "a file name that nobody can type", "rename the file"))
            continue
        try:
            data = _content(os.path.join(base, name))  # noqa: PTH118  # 3,400 times
        except OSError as error:
            dangling = error.errno in (2, 40)
            fix = "remove the symlink" if dangling else "make it readable, or move it elsewhere"
            what = f"dangling symlink ({error.strerror})" if dangling else f"{error.strerror}"
            troubles.append((name, 1, what, fix))
            continue
        if data is None:
            continue
        if len(data) > MAX_BYTES:
            if b"package" in data:
                fix = "move it elsewhere, or split it"
                troubles.append((name, 1, f"larger than {MAX_BYTES >> 20} MiB", fix))
            continue
        files.append(_File(name, data, parses.key(name, data, salt)))
    return files, troubles


def _content(path: str) -> bytes | None:
    """What is in a regular file, a little more than MAX_BYTES at most; None for anything else."""
    # A FIFO must not block; plain descriptors halve the time of 3,400 files.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        data = os.read(descriptor, min(status.st_size, MAX_BYTES) + 1)
        while len(data) <= MAX_BYTES and len(data) != status.st_size:
            more = os.read(descriptor, MAX_BYTES)
            if not more:
                break
            data += more
        return data
    finally:
        os.close(descriptor)


_Made = tuple[dict[bytes, parses.Record], list[Trouble]]


class _DefinitionResolver:
    """Resolves the files that the cache doesn't know."""

    def __init__(
        self, arch: Arch, own: dict[str, tuple[str, bytes]], build_options: tuple[str, ...]
    ) -> None:
        self.arch = arch
        self.own = own
        self.build_options = build_options

    def all(self, files: list[_File]) -> _Made:
        """The records by key, and the troubles; files with troubles have no record."""
        workers = 1
        if hasattr(os, "fork") and threading.active_count() == 1:
            workers = min(len(os.sched_getaffinity(0)), len(files) // WORTH_A_PROCESS + 1, 16)
        if workers == 1:
            return self.some(files)
        # Largest first, round robin: the shares take about the same time.
        files = sorted(files, key=lambda file: len(file.data), reverse=True)
        shares = [files[start::workers] for start in range(workers)]
        children = [(share, *_start(self, share)) for share in shares[1:]]
        made, troubles = self.some(shares[0])
        for share, process, pipe in children:
            answer = _finish(process, pipe)
            records, found = self.some(share) if answer is None else answer
            made |= records
            troubles += found
        return made, troubles

    def some(self, files: Sequence[_File]) -> _Made:
        """Resolve `files` in this process."""
        from dag.core.package.compile import compile_definition
        from dag.core.package.pipelines import Table

        table = Table(self.own)
        made: dict[bytes, parses.Record] = {}
        troubles: list[Trouble] = []
        for file in files:
            package, problems = compile_definition(
                file.data,
                file.name,
                arch=self.arch,
                table=table,
                build_options=self.build_options,
            )
            if problems:
                troubles += problems
            else:
                made[file.key] = parses.record(package)
        return made, troubles


def _start(resolver: _DefinitionResolver, share: Sequence[_File]) -> tuple[int, int]:
    """Resolve `share` in a child; its process id, and the pipe on which it answers."""
    ours, theirs = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(ours)
            answer = parses.pack(resolver.some(share))
            with os.fdopen(theirs, "wb") as pipe:
                pipe.write(answer)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(theirs)
    return process, ours


def _finish(process: int, pipe: int) -> _Made | None:
    """The child's answer; None if it died, and its share must be done again."""
    with os.fdopen(pipe, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(process, 0)
    if status != 0:
        return None
    made, troubles = parses.unpack(answer)
    return made, list(troubles)
