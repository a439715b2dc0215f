"""Reading a directory of definitions: every problem at once, unchanged files from a cache.

Files that are not in the cache are resolved in as many processes as there are processors, if there
are enough files to be worth that.
"""

from __future__ import annotations

import errno
import gc
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from dag.core.arch import Arch
from dag.core.limits import DEFINITION
from dag.core.package.directory import Definitions, gather_definitions
from dag.core.package.melangeflags import OWN_PIPELINES, MelangeFlags, Resolution
from dag.core.package.model import BrokenDefinition, Package
from dag.core.package.nametext import names_in_text
from dag.core.package.problems import FileProblem
from dag.errors import UsageError
from dag.io.package import parses
from dag.io.package.listing import list_directory
from dag.io.package.strays import stray_remarks
from dag.io.package.ways import ResolutionWay, Ways

MAX_BYTES = DEFINITION.most
"""The size of the largest definition that is read; the largest of Wolfi has 150 KB."""
WORTH_A_PROCESS = 150
"""How many definitions take longer to resolve than a process takes to start."""


class _File(NamedTuple):
    name: str
    data: bytes
    key: bytes
    """The key of its entry in the cache."""


_DECODER = msgspec.msgpack.Decoder(parses.Entries)


def read(
    directory: Path,
    *,
    arch: str,
    pipeline_dirs: Sequence[Path] = (),
    build_options: Sequence[str] = (),
    cached: bool = True,
) -> tuple[Package, ...]:
    """Return every definition as `read_directory` does, if nothing at all is wrong with them.

    Raises:
        UsageError: some files have problems; the message names all of them.

    """
    found = read_directory(
        directory,
        arch=arch,
        pipeline_dirs=pipeline_dirs,
        build_options=build_options,
        cached=cached,
    )
    found.require_sound()
    return found.packages


def read_directory(
    directory: Path,
    *,
    arch: str,
    pipeline_dirs: Sequence[Path] = (),
    build_options: Sequence[str] = (),
    flags: MelangeFlags | None = None,
    cached: bool = True,
) -> Definitions:
    """Return every definition at the top level of `directory`, resolved for `arch`.

    Pipelines are looked for where melange is told to by `flags`, or else in `directory`/pipelines
    and then in `pipeline_dirs`; then where an installed melange keeps its own, then in the built-in
    table. A definition that is not for `arch` is read too: `Package.builds_on` tells. Names that
    begin with a dot are passed over: editors and other systems leave such files.

    Raises:
        UsageError: no definition can be used; the message names the problems of all.

    """
    wanted = Arch.parse(arch)
    plain = Resolution(
        (OWN_PIPELINES, *(os.fspath(one.resolve()) for one in pipeline_dirs)), tuple(build_options)
    )
    with _no_collections():
        listing = list_directory(directory)
        ways = Ways(directory, wanted)
        way_of = {
            name: ways.find(flags.resolution(name.removesuffix(".yaml")) if flags else plain)
            for name in listing.yaml
        }
        files, broken = _files(directory, way_of)
        entries = parses.load(directory, wanted.apk) if cached else {}
        known = {file.key: entries[file.key] for file in files if file.key in entries}
        new = [file for file in files if file.key not in known]
        if new:
            known |= _DefinitionResolver(wanted, way_of).resolve_all(new)
        if cached and (new or len(known) != len(entries)):
            parses.store(directory, wanted.apk, known)
        packages: list[Package] = []
        for file in files:
            match known.get(file.key):
                case Package() as package:
                    packages.append(flags.with_appended(package) if flags else package)
                case BrokenDefinition() as failed:
                    broken.append(failed)
        inputs = {one.file: way_of[one.file].inputs(one.pipelines) for one in packages}
        for one in broken:
            if way := way_of.get(one.file):  # a name that cannot be shown has none
                inputs[one.file] = way.inputs(one.pipelines)
        remarks: list[str] = []
        if listing.yml or listing.folders:
            stems = {name.removesuffix(".yaml") for name in listing.yaml}
            remarks += stray_remarks(directory, listing.yml, listing.folders, stems)
        warnings = (*ways.warnings, *(flags.unread() if flags else ()))
        found = gather_definitions(
            os.fspath(directory),
            packages,
            broken,
            arch=wanted.apk,
            remarks=remarks,
            warnings=warnings,
        )
    if not packages:
        found.require_sound()
        error = no_definitions_error(directory)
        raise UsageError("\n".join([error.message, *remarks]), hint=error.hint)
    return found._replace(
        inputs=inputs,
        variables={
            name: way.resolution.vars_file for name, way in way_of.items() if way.vars_input
        },
        pipeline_roots=ways.pipeline_roots,
        melange_words=tuple(flags.words) if flags else (),
    )


def no_definitions_error(directory: Path) -> UsageError:
    """Return the error for a directory in which nothing can be built."""
    return UsageError(
        f"{directory} has no package definitions",
        hint="a definition is a *.yaml file with a `package:` mapping, at the top level; "
        "if yours are elsewhere, name that directory with --dir, and if you have none, `dag init` begins some",
    )


@contextmanager
def _no_collections() -> Iterator[None]:
    # Reading makes tens of thousands of tuples that all stay; each collection would walk over them.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _files(
    directory: Path, ways: Mapping[str, ResolutionWay]
) -> tuple[list[_File], list[BrokenDefinition]]:
    files: list[_File] = []
    broken: list[BrokenDefinition] = []

    def refuse(name: str, what: str, fix: str, data: bytes = b"") -> None:
        names = names_in_text(data, name) if name.isprintable() else ()
        shown = name if name.isprintable() else ascii(name)
        broken.append(BrokenDefinition(shown, names, (FileProblem(shown, 1, what, fix),)))

    base = os.fspath(directory)
    for name, way in ways.items():
        if not name.isprintable():  # bytes that are not UTF-8 became surrogates, which are not
            refuse(name, "the name of the file has characters that nobody can type", "rename it")
            continue
        try:
            data = _content(os.path.join(base, name))  # noqa: PTH118  # 3,400 times
        except OSError as error:
            what, fix = "the file cannot be read", "make it readable, or move it elsewhere"
            if error.errno in (errno.ENOENT, errno.ELOOP):
                what, fix = "the symbolic link leads nowhere", "remove it, or correct it"
            refuse(name, f"{what} ({error.strerror})", fix)
            continue
        if data is None:
            continue
        if len(data) > MAX_BYTES:
            if b"package" in data:
                what = f"the file is larger than {MAX_BYTES >> 20} MiB"
                refuse(name, what, "move it elsewhere, or split it", data[:MAX_BYTES])
            continue
        if way.problems:
            broken.append(BrokenDefinition(name, names_in_text(data, name), way.problems))
            continue
        files.append(_File(name, data, parses.entry_key(name, data, way.salt)))
    return files, broken


def _content(path: str) -> bytes | None:
    """Return the bytes of a regular file, at most a few more than MAX_BYTES; else None."""
    # A FIFO must not block. Plain descriptors halve the time that 3,400 files take.
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


class _DefinitionResolver:
    """A resolver of the files that the cache does not know."""

    def __init__(self, arch: Arch, ways: Mapping[str, ResolutionWay]) -> None:
        self.arch = arch
        self.ways = ways

    def resolve_all(self, files: list[_File]) -> parses.Entries:
        """Resolve `files`, in several processes if they are many."""
        workers = 1
        if hasattr(os, "fork") and threading.active_count() == 1:
            workers = min(len(os.sched_getaffinity(0)), len(files) // WORTH_A_PROCESS + 1, 16)
        if workers == 1:
            return self.resolve(files)
        # Dealt out from the largest on, so that the shares take about the same time.
        files = sorted(files, key=lambda file: len(file.data), reverse=True)
        shares = [files[start::workers] for start in range(workers)]
        children = [_Child(self, share) for share in shares[1:]]
        resolved = self.resolve(shares[0])
        for child, share in zip(children, shares[1:], strict=True):
            resolved |= child.answer() or self.resolve(share)
        return resolved

    def resolve(self, files: Sequence[_File]) -> parses.Entries:
        """Resolve `files` in this process."""
        from dag.core.package.compile import read_definition
        from dag.core.package.pipelines import Table

        tables: dict[bytes, Table] = {}
        entries: parses.Entries = {}
        for file in files:
            way = self.ways[file.name]
            if way.salt not in tables:
                tables[way.salt] = Table(way.texts, behind=way.behind)
            entries[file.key] = read_definition(
                file.data,
                file.name,
                arch=self.arch,
                table=tables[way.salt],
                build_options=way.resolution.build_options,
                variables=way.variables,
            )
        return entries


class _Child:
    """A process that resolves a share of the files, and answers through a pipe."""

    def __init__(self, resolver: _DefinitionResolver, share: Sequence[_File]) -> None:
        self._pipe, theirs = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            try:
                os.close(self._pipe)
                answer = msgspec.msgpack.encode(resolver.resolve(share))
                with os.fdopen(theirs, "wb") as pipe:
                    pipe.write(answer)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(theirs)

    def answer(self) -> parses.Entries | None:
        """Return what the process has resolved; None if it died, so that somebody else must."""
        with os.fdopen(self._pipe, "rb") as stream:
            answer = stream.read()
        _, status = os.waitpid(self._process, 0)
        return _DECODER.decode(answer) if status == 0 else None
