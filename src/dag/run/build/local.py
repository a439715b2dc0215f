"""The runner of units on this machine: each attempt has processes and a workspace of its own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import msgspec

from dag.core.arch import Arch
from dag.core.build.events import (
    Began,
    Broke,
    Faulted,
    Lacked,
    OutOfMemory,
    Proven,
    ProvePackages,
    Start,
    Succeeded,
    Unchanged,
)
from dag.core.build.failure import FailureWords, failure_words, lacked_words, vanished_mount
from dag.core.build.recording import make_record
from dag.core.build.scripts import read_trailer
from dag.core.build.served import ServedPackages
from dag.core.build.usage import USED
from dag.core.package.apk import Apk, BrokenPackage
from dag.core.package.makefile import Makefile
from dag.core.shell import ShellScript
from dag.core.store.records import Inputs, Record
from dag.core.units import size_words
from dag.errors import UsageError
from dag.io.build.confinement import Group, Limiter
from dag.io.build.disk import DiskWatch
from dag.io.build.processes import end_below
from dag.io.build.usage import read_usage
from dag.io.package.packagecache import WrongPackage
from dag.io.removal import remove
from dag.io.store.local import Store
from dag.io.store.runs import Run
from dag.run.build.network import NetworkFaults
from dag.run.build.places import OUTPUT
from dag.run.build.process import ScriptEnd, run_script
from dag.run.build.proving import find_differences, staged_promises
from dag.run.build.resolving import ResolvedUnit, UnitResolver, names_given
from dag.run.build.runner import Ended, ProofEnd
from dag.run.build.serving import PackageServer
from dag.run.build.workspace import Parts, lay_out

_TAIL_BYTES = 1 << 18
"""How much of the end of a log is searched for the words of what failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """The settings that all units of a run have in common."""

    arch: Arch
    script_at: Callable[[int], ShellScript]
    """The build script (see `dag.core.build.scripts`) for a SOURCE_DATE_EPOCH; its further arguments
    are targets."""
    units: UnitResolver
    server: PackageServer
    makefile: Makefile
    environment: Mapping[str, str]
    """The whole environment of the processes: they inherit nothing else."""
    parts: Parts
    fingerprints: Mapping[str, str]
    links: Mapping[str, Path] = field(default_factory=dict)
    """Where symbolic links in the workspace lead, by their paths: the key, repositories."""
    timeout: float | None = None
    """Seconds that an attempt may take."""
    network: NetworkFaults = field(default_factory=NetworkFaults)
    publishes: bool = True
    """Whether a unit that is proven is published at once, with the signatures that melange made."""
    remember: Callable[[Record], None] = lambda _: None
    """It is told of each unit that was proven here."""
    confined: bool = True
    """Whether the steps of an attempt, and the processes that it leaves, are confined."""


@dataclass(slots=True)
class _Attempt:
    unit: ResolvedUnit
    place: Path
    inputs: Inputs
    """What went into it, once that is known for sure."""
    seconds: float = 0.0
    memory: int = 0
    served: ServedPackages = field(default_factory=ServedPackages)
    """The packages of repositories among them, once they are here."""
    log: Path = Path()
    log_begins: int = 0
    """The byte of the log at which the part of this attempt begins."""

    def last_lines(self) -> tuple[str, ...]:
        """Return the lines of the last part of what this attempt wrote."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(self.log_begins, self.log.stat().st_size - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").split("\n")
        except OSError:
            return ()
        return tuple(line for line in lines if line.strip() and not read_trailer(line))

    def words(self, cause: str) -> FailureWords:
        """Return what to tell of its failure; `cause` is what is known of it without its log."""
        return failure_words(self.last_lines(), cause)


class LocalRunner:
    """A `Runner` whose attempts are processes: a shell, make, melange, bubblewrap."""

    def __init__(self, store: Store, run: Run, settings: LocalSettings, limiter: Limiter) -> None:
        """Use a store that is open, and whose lock is held; `run` has the place of the logs."""
        self._store = store
        self._run = run
        self._settings = settings
        self._limiter = limiter
        self._units = settings.units
        self._attempts: dict[tuple[str, int], _Attempt] = {}
        self.open_units: dict[str, str] = {}
        """Packages that were built with what melange got from repositories itself → why."""
        self._promoting = asyncio.Lock()
        self.reused: dict[str, Record] = {}
        """The records that made builds unnecessary, by package."""
        self._proven: list[Record] = []

    @property
    def finished(self) -> list[Record]:
        """Return the records of units that were proven, or found unchanged."""
        return [*self._proven, *self.reused.values()]

    async def open(self) -> Began:
        """Return that nothing is alive from before: opening the store has ended all that was."""
        return Began()

    async def run(self, start: Start) -> Ended:
        """Build in a new workspace; see `Runner.run`."""
        key, attempt = start.key, start.attempt
        unit = self._units.resolve(key)
        name = f"{unit.package.name}.{attempt}"
        place = self._store.work / (f"{name}.again" if unit.first else name)
        work = _Attempt(unit, place, unit.inputs, memory=start.resources.ram, served=unit.served)
        self._attempts[key, attempt] = work
        kept = False
        try:
            try:
                same = await asyncio.to_thread(self._same_or_lay_out, work)
            except WrongPackage as error:
                return Broke(key, attempt, f"{error.message}; {error.hint}")
            except (UsageError, FileNotFoundError) as error:
                return Broke(key, attempt, str(error))  # another attempt would end in the same way
            if same is not None:
                self.reused[key] = same
                self._units.finish(same)
                return Unchanged(key, attempt, gives=names_given(same), result=same.result)
            work.log = self._store.runs.log(self._run, unit.package.name)
            ended = await self._execute(start, work)
            if self._run.is_far:
                await asyncio.to_thread(self._run.keep_log, unit.package.name)
            kept = isinstance(ended, Succeeded)
            return ended
        finally:
            if not kept:
                await self._forget(key, attempt)

    def _same_or_lay_out(self, work: _Attempt) -> Record | None:
        same = self._units.same(work.unit)
        if same is None:
            self._lay_out(work)
        return same

    def _lay_out(self, work: _Attempt) -> None:
        """Make the workspace of an attempt, with its own copies of the packages that it gets."""
        # A step may leave programs there that run with the rights of their owner.
        work.place.mkdir(mode=0o700, parents=True)
        (work.place / "tmp").mkdir()
        workspace = work.place / "workspace"
        lay_out(workspace, self._settings.parts.of(work.unit.package.name), self._settings.links)
        repository = workspace / OUTPUT / self._settings.arch.apk
        repository.mkdir(parents=True)
        for one in work.unit.given.values():
            self._store.blobs.hand_out(one.apk, repository)
        work.served = self._settings.server.lay_out(work.unit.package, work.served, work.place)

    async def prove(self, prove: ProvePackages) -> ProofEnd:
        """Compare what was built with what the definition promises, and put it into the store."""
        work = self._attempts[prove.key, prove.attempt]
        try:
            async with self._promoting:
                return await asyncio.to_thread(self._promote, prove, work)
        except BrokenPackage as error:
            return Broke(prove.key, prove.attempt, str(error), work.words("").lines)
        finally:
            await self._forget(prove.key, prove.attempt)

    async def cancel(self, key: str, attempt: int) -> None:
        """Do nothing, because nothing is alive from before."""

    async def close(self) -> None:
        """Remove what is left of attempts whose packages were not proven."""
        for key, attempt in list(self._attempts):
            await self._forget(key, attempt)

    # ---- processes ----------------------------------------------------------------------------

    async def _execute(self, start: Start, work: _Attempt) -> Ended:
        began = time.monotonic()
        group = self._limiter.group(work.place.name, start.resources)
        try:
            async with DiskWatch(work.place, self._store.root) as disk:
                end = await self._run_script(start, work, group)
        except BaseException:
            await asyncio.to_thread(self._end_processes, work, group)
            raise
        work.seconds = time.monotonic() - began
        return await asyncio.to_thread(self._conclude, start, work, end, group, full=disk.was_full)

    def _end_processes(self, work: _Attempt, group: Group) -> None:
        group.close()
        if not self._settings.confined:
            end_below(work.place)

    def _conclude(
        self, start: Start, work: _Attempt, end: ScriptEnd, group: Group, *, full: bool
    ) -> Ended:
        try:
            ended = self._judge(start, work, end, oom=group.out_of_memory(), full=full)
            used = read_usage(work.place, PurePath("state", USED))
            if used and not group.is_apart:
                used = msgspec.structs.replace(used, ram=None)
            return msgspec.structs.replace(ended, used=used)
        finally:
            self._end_processes(work, group)

    async def _run_script(self, start: Start, work: _Attempt, group: Group) -> ScriptEnd:
        settings = self._settings
        targets = settings.makefile.targets([work.unit.package], settings.arch)
        script = settings.script_at(self._units.inputs.epoch(work.unit.package.name))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        is_second = work.unit.first is not None
        flags |= 0 if is_second or start.attempt > 1 else os.O_TRUNC
        output = os.open(work.log, flags, 0o644)
        try:
            if is_second or start.attempt > 1:
                words = f"{'second build, ' if is_second else ''}attempt {start.attempt}"
                os.write(output, f"dag: {words}\n".encode())
            work.log_begins = os.lseek(output, 0, os.SEEK_END)
            return await run_script(
                script.command(*targets),
                group,
                directory=work.place / "workspace",
                output=output,
                environment=self._variables(work),
                timeout=settings.timeout,
                alone=settings.confined,
            )
        finally:
            os.close(output)

    def _variables(self, work: _Attempt) -> dict[str, str]:
        """Return the whole environment of an attempt's processes."""
        settings = self._settings
        first, rest = settings.server.path(work.place), settings.environment.get("PATH", os.defpath)
        temporary = os.fspath(work.place / "tmp")
        return {**settings.environment, "TMPDIR": temporary, "PATH": f"{first}:{rest}"}

    def _judge(
        self, start: Start, work: _Attempt, end: ScriptEnd, *, oom: bool, full: bool
    ) -> Ended:
        key, attempt = start.key, start.attempt
        if end.is_late:
            cause = f"took longer than {self._settings.timeout:g} seconds"
            return Broke(key, attempt, cause, work.words(cause).lines)
        if end.code == 0:
            if why := self._settings.server.take_back(work.unit.package, work.served, work.place):
                self.open_units[work.unit.package.name] = why
                work.inputs = msgspec.structs.replace(work.inputs, open=why)
            return Succeeded(key, attempt)
        failure = work.words(f"make ended with exit code {end.code}")
        lines = failure.lines
        if oom:
            cause = f"out of memory: {size_words(start.resources.ram)} were not enough"
            return OutOfMemory(key, attempt, cause, lines)
        if fault := "no space left on device" if full else vanished_mount(lines):
            return Faulted(key, attempt, fault, lines)
        if end.signal is not None:
            return Broke(key, attempt, f"ended by {end.signal}", lines)
        if known := work.unit.lacking:
            names, cause = lacked_words(known, work.last_lines())
            if names:
                return Lacked(key, attempt, names, cause, lines)
        if lost := self._settings.network.find(work.unit.package, failure):
            return Broke(key, attempt, lost, lines, is_fault=True)
        return Broke(key, attempt, failure.cause, lines)

    async def _forget(self, key: str, attempt: int) -> None:
        work = self._attempts.pop((key, attempt), None)
        if work is not None:
            with suppress(OSError):  # what is left is removed before the next build
                await asyncio.to_thread(remove, work.place)

    # ---- proof --------------------------------------------------------------------------------

    def _promote(self, prove: ProvePackages, work: _Attempt) -> Proven:
        """Verify what an attempt made, and put it into the store; see `Store.promote`.

        What a second build made is not published, and no environment gets it.

        Raises:
            BrokenPackage: a promised package is missing, or is not what its name says.
            OSError: the store cannot be written.

        """
        package, arch, first = work.unit.package, self._settings.arch, work.unit.first
        differences: tuple[str, ...] = ()
        with staged_promises(self._store.blobs, work.place, package, arch) as staged:
            record = self._record(work, [one.apk for one in staged.values()])
            publish = first is None and self._settings.publishes
            if first is None:
                self._settings.remember(record)
            results = self._store.promote(record, staged, publish=publish)
            if first is None:
                self._proven.append(record)
                self._units.finish(record)
            else:
                differences = find_differences(self._store.blobs, first, staged)
        gives = names_given(record)
        return Proven(prove.key, prove.attempt, results, gives, record.result, differences)

    def _record(self, work: _Attempt, made: Sequence[Apk]) -> Record:
        package, units = work.unit.package, self._units
        return make_record(
            package,
            made,
            (one.apk for one in work.unit.given.values()),
            provider=units.graph.provider_for(package.name),
            inputs=work.inputs,
            served=work.served.sha256,
            fingerprint=self._settings.fingerprints.get(package.name, ""),
            epoch=units.inputs.epoch(package.name),
            seconds=work.seconds,
            memory=work.memory,
            log=self._run.names.log(package.name),
        )
