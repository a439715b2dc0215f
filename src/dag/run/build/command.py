"""`dag build` on this machine: from what was asked for to a result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build import journal as lines
from dag.core.build.events import Began, ComputeResources
from dag.core.build.plan import BuildPlan, BuildRequest, Known, Stored, make_plan
from dag.core.build.result import Result, make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.scripts import KEY, MakeVariables, build_script
from dag.core.build.states import RunLimits
from dag.core.build.summary import summarize
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import PackageRepository, offers
from dag.core.store.records import choose_records
from dag.errors import UsageError
from dag.io.build.confinement import detect
from dag.io.build.journal import Journal
from dag.io.build.processes import end_below
from dag.io.graph import git
from dag.io.image.tree import definitions_tree
from dag.io.package import apkindex as index
from dag.io.package import definitions
from dag.io.package.makefile import makefile_of
from dag.io.store.local import Store
from dag.io.store.lock import holder
from dag.report.progress import BuildProgress
from dag.run.build.engine import Engine
from dag.run.build.keyrings import check_keyrings
from dag.run.build.local import LocalRunner, LocalSettings
from dag.run.build.tools import Tools
from dag.run.build.workspace import Parts, fingerprints, split

Say = Callable[[str], None]

_KEPT = (
    *("PATH", "HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
"""Of the user's environment, what make may see. Nothing that a Makefile takes for its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The flags of `dag build` that decide what is built and how; durations in seconds."""

    directory: Path
    arch: Arch
    pipeline_dirs: tuple[Path, ...]
    build_options: tuple[str, ...]
    store: Path
    request: BuildRequest
    since: str | None
    repositories: tuple[str, ...]
    keyrings: tuple[str, ...]
    jobs: int
    capacity: ComputeResources
    """Of this machine."""
    max_ram: int
    retries: int
    fail_fast: bool
    timeout: float | None
    hermetic: bool
    make_vars: tuple[str, ...]
    target_template: str | None
    signing_key: Path | None
    verbosity: int

    def limits(self) -> RunLimits:
        """Say what bounds the scheduler."""
        return RunLimits(
            jobs=self.jobs,
            capacity=self.capacity,
            max_ram=self.max_ram,
            retries=self.retries,
            fail_fast=self.fail_fast,
        )


class Build:
    """A directory, a store, and the plan that follows. The store's lock is the caller's affair."""

    def __init__(self, options: BuildOptions, store: Store, say: Say) -> None:
        """Read the directory and what exists, and make the plan.

        Raises:
            UsageError: a definition is wrong, a name unknown, or there is no Makefile.

        """
        self.options = options
        self.store = store
        if store.root == options.directory.resolve():
            raise UsageError(
                "--store is the directory of the definitions, so it would be a part of every build",
                hint=f"name a directory below it, like {options.directory / 'packages'}",
            )
        self._say = say
        self.makefile = makefile_of(options.directory, options.target_template)
        for note in self.makefile.notes("KEY", "MELANGE_EXTRA_OPTS"):
            say(note)
        packages = definitions.read(
            options.directory,
            arch=options.arch.apk,
            pipeline_dirs=options.pipeline_dirs,
            build_options=options.build_options,
        )
        have = _repository(options)
        self.elsewhere = frozenset(one.name for one in packages if offers(have.versions, one))
        self.graph = Graph(packages, available=have.names)
        self.parts = self._split()
        self.fingerprints = fingerprints(self.parts, packages)
        here = (package for package in packages if package.builds_on(options.arch.apk))
        store.adopt(here, say, keep=store.lock.held)
        self.plan = self._plan(have)
        self.about = summarize(self.plan)

    def _split(self) -> Parts:
        tree = definitions_tree(self.options.directory)
        for note in tree.notes() if self.options.verbosity else ():
            self._say(note)
        # A store inside of the directory is no part of what is built; repositories and keys of
        # theirs are linked, whatever they belong to.
        root = self.options.directory.resolve()
        apart = [os.path.relpath(self.store.root, root), *self._inside()]
        prefixes = tuple(f"{path}/" for path in apart)
        entries = [e for e in tree.entries if not f"{e.path}/".startswith(prefixes)]
        return split(entries, self.graph.packages)

    def _inside(self) -> dict[str, Path]:
        """The repositories and keyrings inside of the directory, by their paths from there."""
        root = self.options.directory.resolve()
        found = {}
        for item in (*self.options.repositories, *self.options.keyrings):
            if "://" not in item:
                path = Path(_absolute(item))
                if path == self.store.root:
                    raise UsageError(
                        f"-r {item} is the store itself, which is always asked; leave it out"
                    )
                if path != root and path.is_relative_to(root):
                    found[os.fspath(path.relative_to(root))] = path
        # What lies in one of them comes with it.
        return {
            name: path
            for name, path in found.items()
            if not any(name.startswith(f"{other}/") for other in found)
        }

    def _plan(self, have: PackageRepository) -> BuildPlan:
        options, store = self.options, self.store
        request = options.request
        versions = {package.name: package.full_version for package in self.graph.packages}
        records = choose_records(store.records.values(), versions)
        known = Known(
            stored={name: Stored.of(record) for name, record in records.items()},
            repository=have.versions,
            available=have.names,
            fingerprints=self.fingerprints,
            seconds=store.seconds(),
            ram=store.ram(),
        )
        if options.since is not None:
            request = _since(options, self.graph, request)
            if not request.packages:
                self._say(f"nothing has changed since {options.since}")
                return BuildPlan(
                    arch=options.arch, steps=(), gates=(), skipped=(), stuck=(), blocked={},
                    dropped=(), timed=0, external={},
                )  # fmt: skip
        return make_plan(self.graph, options.arch, request, known)

    def scheduler(self) -> Scheduler:
        """Make the scheduler of the plan."""
        return Scheduler(self.plan.units, self.options.limits())

    async def run(self) -> Result:
        """Build what is planned; the result says what came of it.

        Raises:
            InfrastructureError: make, melange or bubblewrap is not there, or the store fails.

        """
        options = self.options
        if not self.plan.steps:
            self._write_index()
            scheduler = self.scheduler()
            with self._journal(scheduler) as journal:
                journal.append(lines.encode_event(0.0, Began()))
                scheduler.handle(Began(), 0.0)
            return make_result(self.about, scheduler, 0.0)
        tools = Tools.find()
        limiter = detect()
        if options.verbosity:
            self._say(f"limits of memory and CPU: {limiter.name}")
        if limiter.name == "none":
            self._say("memory is not limited: no control groups may be written here")
        runner = LocalRunner(self.graph, self.store, self._settings(tools), limiter)
        scheduler = self.scheduler()
        with self._journal(scheduler) as journal:
            progress = BuildProgress(
                scheduler, self.about, store=str(options.store), verbosity=options.verbosity
            )
            engine = Engine(scheduler, runner, journal, progress)
            try:
                await engine.run()
            finally:
                progress.close()
                for one in scheduler.units.values():
                    if one.resources.ram > one.unit.resources.ram:
                        self.store.remember_ram(one.unit.key, one.resources.ram)
            seconds = engine.now
        self._write_index()
        return make_result(self.about, scheduler, seconds)

    @contextmanager
    def _journal(self, scheduler: Scheduler) -> Iterator[Journal]:
        """Begin the journal of this run, in the place of the latest one's."""
        head = lines.make_head(self.about, scheduler, began=time.time(), pid=os.getpid())
        with Journal(self.store.journal) as journal:
            journal.append(lines.encode_head(head))
            yield journal

    def _write_index(self) -> None:
        given = _with_public(self.options.signing_key)

        def sign(path: Path) -> None:
            tools = Tools.find()
            tools.sign_index(path, given or tools.own_key(self.store.state / "key"))

        self.store.write_index(sign, anew=given is not None)

    def _settings(self, tools: Tools) -> LocalSettings:
        # melange writes the names of keys and repositories into what it builds: they must be the
        # same wherever the store is, and the same as in a pod.
        options = self.options
        links: dict[str, Path] = self._inside()
        key = _with_public(options.signing_key)
        if key is None:
            made = tools.own_key(self.store.state / "key")
            links |= {KEY: made, f"{KEY}.pub": made.with_name(f"{made.name}.pub")}
        public = f"{key.name if key else KEY}.pub"
        check_keyrings(options.keyrings, public, (key or made).with_name(public))
        cache = options.directory.resolve() / "cache"
        if not cache.is_dir():
            cache = self.store.state.resolve() / "cache"
            cache.mkdir(exist_ok=True)
        variables = MakeVariables(
            arch=options.arch,
            source_date_epoch=git.source_date_epoch(options.directory) or 0,
            cache_dir=os.fspath(cache),
            melange=tools.melange,
            melange_dir=tools.melange_dir,
            key=os.fspath(key.resolve()) if key else KEY,
            repositories=[_from_workspace(options.directory, one) for one in options.repositories],
            keyrings=[_from_workspace(options.directory, one) for one in options.keyrings],
            pipeline_dirs=[os.fspath(one.resolve()) for one in options.pipeline_dirs],
            build_options=options.build_options,
            more=options.make_vars,
        )
        dropped: dict[str, set[str]] = {}
        for one in self.plan.dropped:
            dropped.setdefault(one.package, set()).add(one.name)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return LocalSettings(
            arch=options.arch,
            script=build_script(
                variables,
                has_key_rule=False,
                hermetic=options.hermetic,
                state="../state",  # beside the workspace
            ),
            makefile=self.makefile,
            environment={**kept, "LC_ALL": "C.UTF-8"},
            parts=self.parts,
            links=links,
            fingerprints=self.fingerprints,
            dropped={name: frozenset(names) for name, names in dropped.items()},
            elsewhere=self.elsewhere,
            timeout=options.timeout,
        )


def open_store(root: Path, arch: Arch, *, wait: bool, say: Say) -> Store:
    """Open a store for writing: take its lock, end and undo what a dead run has left.

    Raises:
        Held: somebody else builds there, and `wait` is not set.
        InfrastructureError: the store cannot be used.

    """
    store = Store(root, arch)
    store.prepare()
    store.lock.acquire(wait=wait, say=say)
    end_below(store.work)
    store.recover(say)
    return store


def read_store(root: Path, arch: Arch) -> Store:
    """Read what a store has, without a lock and without a change: what a dry run needs."""
    store = Store(root, arch)
    store.read()
    return store


def status(root: Path, arch: Arch) -> tuple[Result, bool]:
    """Read from a store's journal how its latest run stands, or ended; and whether it is alive.

    Raises:
        UsageError: there was no run, or its journal cannot be read.

    """
    from dag.io.build.journal import read_journal

    store = Store(root, arch)
    try:
        run = lines.replay_run(read_journal(store.journal))
    except FileNotFoundError:
        raise UsageError(f"{root}: nothing was built here for {arch}", hint="see --store") from None
    except ValueError as error:
        raise UsageError(f"{store.journal} is damaged: {error}", hint="build again") from error
    # A run that died says nothing of what came after its last event.
    lives = not run.scheduler.finished and holder(store.lock_path) == run.head.pid
    now = max(run.last, time.time() - run.head.began) if lives else run.last
    return make_result(run.head, run.scheduler, now), lives


def _repository(options: BuildOptions) -> PackageRepository:
    if not options.repositories:
        return PackageRepository()
    return index.repository(map(_absolute, options.repositories), options.arch)


def _absolute(item: str) -> str:
    if "://" in item:
        return item
    path = Path(item)
    if not path.exists():
        raise UsageError(f"{item}: there is nothing of that name")
    return os.fspath(path.resolve())


def _from_workspace(directory: Path, item: str) -> str:
    path = _absolute(item)
    if "://" in path or not Path(path).is_relative_to(directory.resolve()):
        return path
    return f"./{Path(path).relative_to(directory.resolve())}"


def _with_public(key: Path | None) -> Path | None:
    if key is not None and not key.with_name(f"{key.name}.pub").is_file():
        raise UsageError(
            f"{key} has no public half {key.name}.pub beside it",
            hint=f"make it: openssl rsa -in {key} -pubout -out {key}.pub",
        )
    return key


def _since(options: BuildOptions, graph: Graph, request: BuildRequest) -> BuildRequest:
    from dataclasses import replace

    from dag.run.graph.changes import affected_since

    assert options.since is not None  # noqa: S101  # the caller's condition
    found = affected_since(
        options.directory, options.since, graph, options.arch, options.pipeline_dirs
    )
    changed = set(found.reasons)
    if request.rebuild_dependents:
        changed = {package.name for package in found.packages}
    lenient = not request.packages
    if request.packages:
        changed &= {package.name for package in graph.order(request.packages)}
    names = changed | request.rebuild
    return replace(request, packages=tuple(sorted(names)), lenient=lenient)
