"""Runs units as processes of this machine, each in a workspace of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.events import (
    Began,
    Broke,
    ComputeResources,
    Faulted,
    OutOfMemory,
    Proven,
    ProvePackages,
    Start,
    Succeeded,
)
from dag.core.build.scripts import read_trailer
from dag.core.graph.graph import Graph
from dag.core.package.apk import BrokenPackage
from dag.core.package.makefile import Makefile
from dag.core.package.model import Package
from dag.core.store.records import (
    Built,
    Record,
    choose_records,
    find_requirements,
    packages_to_install,
)
from dag.errors import UsageError
from dag.io.build.confinement import Group, Limiter
from dag.io.build.processes import end_below
from dag.io.package.apk import read_proven
from dag.io.store.local import Store, remove
from dag.run.build.runner import Answer, Ended
from dag.run.build.workspace import Parts, lay_out

TAIL = 20
"""Lines of a failed attempt's log that are shown at once."""
_TAIL_BYTES = 1 << 16
_GRACE = 3.0
"""Seconds that a build gets to end by itself when it is told to."""

# Ends the whole process group when dag is gone, however it went: `read` then sees the end of the
# pipe that only dag holds open. (dash takes no `--` after a signal's name.)
_LEASH = """exec 3<&0 </dev/null
{ read -r _ <&3; kill -KILL -$$; } >/dev/null 2>&1 &
exec 3<&-
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """What all units of a run have in common."""

    arch: Arch
    script: str
    """The build script; see `dag.core.build.scripts`."""
    makefile: Makefile
    environment: Mapping[str, str]
    """Of the processes, whole: nothing is inherited."""
    parts: Parts
    fingerprints: Mapping[str, str]
    links: Mapping[str, Path] = field(default_factory=dict)
    """Paths in the workspace → what symbolic links there point to: key, repositories."""
    dropped: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Package → names in its environment that a repository gives, not the store."""
    elsewhere: frozenset[str] = frozenset()
    """Packages that a repository has in the version that is defined: no other one will do."""
    timeout: float | None = None
    """Seconds that an attempt may take."""


@dataclass(slots=True)
class _Attempt:
    package: Package
    place: Path
    given: dict[str, Built]
    """What the store gave, by the names of packages."""
    seconds: float = 0.0
    log: Path = Path()
    log_begins: int = 0
    """Where in it this attempt's part begins, in bytes."""

    def tail(self) -> tuple[str, ...]:
        """Read the last lines that this attempt wrote."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(self.log_begins, self.log.stat().st_size - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ()
        return tuple(line for line in lines if line.strip() and not read_trailer(line))[-TAIL:]


class LocalRunner:
    """Each attempt is a process group: a shell, make, melange, bubblewrap."""

    def __init__(
        self, graph: Graph, store: Store, settings: LocalSettings, limiter: Limiter
    ) -> None:
        """Take an open store, whose lock is held."""
        self._graph = graph
        self._store = store
        self._settings = settings
        self._limiter = limiter
        self._packages = {package.name: package for package in graph.packages}
        versions = {package.name: package.full_version for package in graph.packages}
        self._shelf: dict[str, Built] = {}
        for name, record in choose_records(store.records.values(), versions).items():
            if record.version == versions.get(name) or name not in settings.elsewhere:
                self._shelf |= {one.apk.name: one for one in record.built}
        self._attempts: dict[tuple[str, int], _Attempt] = {}
        self._promoting = asyncio.Lock()

    async def open(self) -> Began:
        """Nothing lives from before: who opened the store has seen to that."""
        return Began()

    async def run(self, start: Start) -> Ended:
        """Build in a new workspace; see `Runner.run`."""
        key, attempt = start.key, start.attempt
        package = self._packages[key]
        place = self._store.work / f"{key}.{attempt}"
        self._attempts[key, attempt] = work = _Attempt(package, place, self._given(package))
        kept = False
        try:
            files = [self._store.packages / one.apk.file for one in work.given.values()]
            entries = self._settings.parts.of(key)
            below = f"packages/{self._settings.arch.apk}"
            (place / "tmp").mkdir(parents=True)
            workspace = place / "workspace"
            try:
                await asyncio.to_thread(
                    lay_out, workspace, entries, files, below, self._settings.links
                )
            except (UsageError, FileNotFoundError) as error:
                return Broke(key, attempt, str(error))  # it will be no better the next time
            work.log = self._store.logs / f"{key}.log"
            ended = await self._execute(start, work)
            kept = isinstance(ended, Succeeded)
            return ended
        finally:
            if not kept:
                await self._forget(key, attempt)

    async def prove(self, prove: ProvePackages) -> Answer:
        """Compare what was built with what the definition promises, and put it into the store."""
        work = self._attempts[prove.key, prove.attempt]
        try:
            async with self._promoting:
                record = await asyncio.to_thread(self._promote, work)
            self._shelf |= {one.apk.name: one for one in record.built}
            return Proven(prove.key, prove.attempt)
        except BrokenPackage as error:
            return Broke(prove.key, prove.attempt, str(error), work.tail())
        finally:
            await self._forget(prove.key, prove.attempt)

    async def cancel(self, key: str, attempt: int) -> None:
        """Nothing lives from before."""

    async def close(self) -> None:
        """Remove what is left of attempts that were never proven."""
        for key, attempt in list(self._attempts):
            await self._forget(key, attempt)

    def _given(self, package: Package) -> dict[str, Built]:
        # Never its own packages: make would take an old one for built, and melange would write
        # through the link into the store.
        dropped = self._settings.dropped.get(package.name, frozenset())
        environment = (need.text for need in package.environment if need.name not in dropped)
        own = package.promised
        return packages_to_install(environment, self._shelf, self._graph.provider, own)

    # ---- processes ----------------------------------------------------------------------------

    async def _execute(self, start: Start, work: _Attempt) -> Ended:
        began = time.monotonic()
        group = self._limiter.group(f"{start.key}.{start.attempt}", start.resources)
        try:
            process = await self._spawn(start, work, group)
            late = False
            try:
                async with asyncio.timeout(self._settings.timeout):
                    code = await process.wait()
            except TimeoutError:
                late = True
                code = await _end(process)
            except asyncio.CancelledError:
                await _end(process)
                raise
            finally:
                _kill(process.pid)
            work.seconds = time.monotonic() - began
            return self._judge(start, work, code, late=late, oom=group.out_of_memory())
        finally:
            await asyncio.to_thread(group.close)
            if not self._limiter.holds:
                await asyncio.to_thread(end_below, work.place)

    async def _spawn(
        self, start: Start, work: _Attempt, group: Group
    ) -> asyncio.subprocess.Process:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        flags |= os.O_TRUNC if start.attempt == 1 else 0
        output = os.open(work.log, flags, 0o644)
        try:
            if start.attempt > 1:
                os.write(output, f"dag: attempt {start.attempt}\n".encode())
            work.log_begins = os.lseek(output, 0, os.SEEK_END)
            target = self._settings.makefile.targets([work.package], self._settings.arch)
            return await asyncio.create_subprocess_exec(
                *group.prefix(),
                "sh",
                "-c",
                _LEASH + group.prelude() + self._settings.script,
                "dag",
                *target,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=work.place / "workspace",
                env={**self._settings.environment, "TMPDIR": os.fspath(work.place / "tmp")},
                start_new_session=True,
            )
        finally:
            os.close(output)

    def _judge(self, start: Start, work: _Attempt, code: int, *, late: bool, oom: bool) -> Ended:
        key, attempt = start.key, start.attempt
        if late:
            cause = f"took longer than {self._settings.timeout:g} seconds"
            return Broke(key, attempt, cause, work.tail())
        if code == 0:
            return Succeeded(key, attempt)
        lines = work.tail()
        if oom:
            cause = f"out of memory: {_size(start.resources)} were not enough"
            return OutOfMemory(key, attempt, cause, lines)
        if any("no space left on device" in line.lower() for line in lines):
            return Faulted(key, attempt, "no space left on device", lines)
        if code < 0 or code > 128:
            number = -code if code < 0 else code - 128
            return Broke(key, attempt, f"ended by {_signal(number)}", lines)
        return Broke(key, attempt, f"make ended with exit code {code}", lines)

    async def _forget(self, key: str, attempt: int) -> None:
        work = self._attempts.pop((key, attempt), None)
        if work is not None:
            await asyncio.to_thread(_clear, work.place)

    # ---- proof --------------------------------------------------------------------------------

    def _promote(self, work: _Attempt) -> Record:
        """Verify and keep what an attempt made.

        Raises:
            BrokenPackage: something promised is missing or is not what it says.
            OSError: the store cannot take it.

        """
        package, place = work.package, work.place / "workspace" / "packages"
        place /= self._settings.arch.apk
        made = {}
        for name in package.promised:
            path = place / f"{name}-{package.full_version}.apk"
            try:
                made[path.name] = (path, read_proven(path, name, package, self._settings.arch))
            except FileNotFoundError:
                raise BrokenPackage(f"make ended well but built no {path.name}") from None
        built = [apk for _, apk in made.values()]
        around = [*built, *(one.apk for one in work.given.values())]
        record = Record(
            name=package.name,
            version=package.full_version,
            fingerprint=self._settings.fingerprints.get(package.name, ""),
            seconds=round(work.seconds, 3),
            built=tuple(
                Built(apk=apk, requires=tuple(find_requirements(apk, around, self._graph.provider)))
                for apk in built
            ),
        )
        self._store.promote(record, {file: path for file, (path, _) in made.items()})
        return record


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> int:
    """Ask a process group to end, then make it; answers the exit code."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE):
            return await process.wait()
    except TimeoutError:
        _kill(process.pid)
        return await process.wait()


def _clear(place: Path) -> None:
    try:
        remove(place)
    except OSError:
        # Something of it is still alive and writes.
        end_below(place)
        remove(place)


def _size(resources: ComputeResources) -> str:
    return f"{resources.ram / (1 << 30):.3g} GiB"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
