"""The runner of units on this machine: each attempt has processes and a workspace of its own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
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
from dag.core.build.served import ServedPackages
from dag.core.build.scripts import read_trailer
from dag.core.graph.graph import Graph
from dag.core.package.apk import BrokenPackage
from dag.core.package.makefile import Makefile
from dag.core.package.model import Package, bare_name
from dag.core.shell import ShellScript
from dag.core.store.records import (
    Built,
    Record,
    choose_records,
    find_requirements,
    packages_to_install,
)
from dag.errors import UsageError
from dag.io.build.confinement import Group, Limiter
from dag.io.build.disk import DiskWatch
from dag.io.build.processes import end_below
from dag.io.package.apk import read_proven
from dag.io.package.packagecache import WrongPackage
from dag.io.store.local import Store, remove
from dag.run.build.serving import PackageServer
from dag.run.build.process import ScriptEnd, run_script
from dag.run.build.runner import Answer, Ended
from dag.run.build.workspace import Parts, lay_out

TAIL = 20
"""How many lines of a failed attempt's log are shown at once."""
_TAIL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """The settings that all units of a run have in common."""

    arch: Arch
    script: ShellScript
    """The build script (see `dag.core.build.scripts`); its further arguments are targets."""
    makefile: Makefile
    environment: Mapping[str, str]
    """The whole environment of the processes: they inherit nothing else."""
    parts: Parts
    fingerprints: Mapping[str, str]
    links: Mapping[str, Path] = field(default_factory=dict)
    """Where symbolic links in the workspace lead, by their paths: the key, repositories."""
    dropped: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Names in a package's environment that a repository gives instead of the store, by package."""
    elsewhere: frozenset[str] = frozenset()
    """Packages that a repository has in the defined version: older ones in the store are not used."""
    timeout: float | None = None
    """Seconds that an attempt may take."""
    server: PackageServer | None = None
    """The server of packages from repositories; without one, melange asks for itself."""


@dataclass(slots=True)
class _Attempt:
    package: Package
    place: Path
    given: dict[str, Built]
    """The packages that the store gave, by their names."""
    seconds: float = 0.0
    served: ServedPackages = field(default_factory=ServedPackages)
    """What it gets from repositories."""
    log: Path = Path()
    log_begins: int = 0
    """The byte of the log at which the part of this attempt begins."""

    def tail(self) -> tuple[str, ...]:
        """Return the last lines that this attempt wrote."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(self.log_begins, self.log.stat().st_size - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").split("\n")
        except OSError:
            return ()
        return tuple(line for line in lines if line.strip() and not read_trailer(line))[-TAIL:]


class LocalRunner:
    """A `Runner` whose attempts are processes: a shell, make, melange, bubblewrap."""

    def __init__(
        self, graph: Graph, store: Store, settings: LocalSettings, limiter: Limiter
    ) -> None:
        """Use a store that is open, and whose lock is held."""
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
        self.open_units: dict[str, str] = {}
        """Packages that were built with what melange got from repositories itself → why."""
        self._promoting = asyncio.Lock()

    async def open(self) -> Began:
        """Return that nothing is alive from before: opening the store has ended all that was."""
        return Began()

    async def run(self, start: Start) -> Ended:
        """Build in a new workspace; see `Runner.run`."""
        key, attempt = start.key, start.attempt
        package = self._packages[key]
        place = self._store.work / f"{key}.{attempt}"
        self._attempts[key, attempt] = work = _Attempt(
            package, place, self._environment_of(package)
        )
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
                if self._settings.server is not None:
                    given = [one.apk for one in work.given.values()]
                    work.served = await asyncio.to_thread(
                        self._settings.server.lay_out, package, given, place
                    )
            except WrongPackage as error:
                return Broke(key, attempt, f"{error.message}; {error.hint}")
            except (UsageError, FileNotFoundError) as error:
                return Broke(key, attempt, str(error))  # another attempt would end in the same way
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
        """Do nothing, because nothing is alive from before."""

    async def close(self) -> None:
        """Remove what is left of attempts whose packages were not proven."""
        for key, attempt in list(self._attempts):
            await self._forget(key, attempt)

    def _environment_of(self, package: Package) -> dict[str, Built]:
        # A package never gets its own packages from the store: make would take an old one for
        # built, and melange would write through the link into the store.
        dropped = self._settings.dropped.get(package.name, frozenset())
        needs = [need.text for need in package.environment]
        # What apko takes for one need can depend on another, so that each alone would not tell.
        settled = self._graph.settled(package.name)
        environment = (text for text in (*needs, *settled) if bare_name(text) not in dropped)
        own = package.promised
        provider = self._graph.provider_for(package.name)
        return packages_to_install(environment, self._shelf, provider, own)

    # ---- processes ----------------------------------------------------------------------------

    async def _execute(self, start: Start, work: _Attempt) -> Ended:
        began = time.monotonic()
        group = self._limiter.group(f"{start.key}.{start.attempt}", start.resources)
        try:
            async with DiskWatch(work.place, self._store.root) as disk:
                end = await self._run_script(start, work, group)
            work.seconds = time.monotonic() - began
            return self._judge(start, work, end, oom=group.out_of_memory(), full=disk.was_full)
        finally:
            await asyncio.to_thread(group.close)
            if not self._limiter.holds:
                await asyncio.to_thread(end_below, work.place)

    async def _run_script(self, start: Start, work: _Attempt, group: Group) -> ScriptEnd:
        settings = self._settings
        targets = settings.makefile.targets([work.package], settings.arch)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        flags |= os.O_TRUNC if start.attempt == 1 else 0
        output = os.open(work.log, flags, 0o644)
        try:
            if start.attempt > 1:
                os.write(output, f"dag: attempt {start.attempt}\n".encode())
            work.log_begins = os.lseek(output, 0, os.SEEK_END)
            return await run_script(
                settings.script.command(*targets),
                group,
                directory=work.place / "workspace",
                output=output,
                environment=self._variables(work),
                timeout=settings.timeout,
            )
        finally:
            os.close(output)

    def _variables(self, work: _Attempt) -> dict[str, str]:
        """Return the whole environment of an attempt's processes."""
        settings = self._settings
        found = {**settings.environment, "TMPDIR": os.fspath(work.place / "tmp")}
        if settings.server is not None:
            found["PATH"] = f"{settings.server.path(work.place)}:{found.get('PATH', os.defpath)}"
        return found

    def _judge(
        self, start: Start, work: _Attempt, end: ScriptEnd, *, oom: bool, full: bool
    ) -> Ended:
        key, attempt = start.key, start.attempt
        if end.is_late:
            cause = f"took longer than {self._settings.timeout:g} seconds"
            return Broke(key, attempt, cause, work.tail())
        if end.code == 0:
            if self._settings.server is not None:
                why = self._settings.server.was_open(work.package, work.served, work.place)
                self.open_units.pop(key, None)
                if why:
                    self.open_units[key] = why
            return Succeeded(key, attempt)
        lines = work.tail()
        if oom:
            cause = f"out of memory: {_size(start.resources)} were not enough"
            return OutOfMemory(key, attempt, cause, lines)
        if full:
            return Faulted(key, attempt, "no space left on device", lines)
        if end.signal is not None:
            return Broke(key, attempt, f"ended by {end.signal}", lines)
        return Broke(key, attempt, f"make ended with exit code {end.code}", lines)

    async def _forget(self, key: str, attempt: int) -> None:
        work = self._attempts.pop((key, attempt), None)
        if work is not None:
            await asyncio.to_thread(_clear, work.place)

    # ---- proof --------------------------------------------------------------------------------

    def _promote(self, work: _Attempt) -> Record:
        """Verify what an attempt made, and put it into the store.

        Raises:
            BrokenPackage: a promised package is missing, or is not what its name says.
            OSError: the store cannot be written.

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
        provider = self._graph.provider_for(package.name)
        around = [*built, *(one.apk for one in work.given.values())]
        record = Record(
            name=package.name,
            version=package.full_version,
            fingerprint=self._settings.fingerprints.get(package.name, ""),
            seconds=round(work.seconds, 3),
            built=tuple(
                Built(apk=apk, requires=tuple(find_requirements(apk, around, provider)))
                for apk in built
            ),
        )
        self._store.promote(record, {file: path for file, (path, _) in made.items()})
        return record


def _clear(place: Path) -> None:
    try:
        remove(place)
    except OSError:
        # A process of the attempt is still alive and writes.
        end_below(place)
        remove(place)


def _size(resources: ComputeResources) -> str:
    return f"{resources.ram / (1 << 30):.3g} GiB"
