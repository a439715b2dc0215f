"""`dag build` on this machine, from what was asked for to the result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dag.core.build import journal as lines
from dag.core.build.events import Began
from dag.core.build.options import BuildOptions, MachineResources
from dag.core.build.plan import Absence, BuildPlan, BuildRequest, Known, Stored, make_plan
from dag.core.build.result import Result, make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.scripts import MakeVariables, build_script, key_of
from dag.core.build.summary import summarize
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import PackageRepository, offers, repository_root
from dag.core.package.makefile import KeyMaker
from dag.core.package.model import BrokenDefinition, Package
from dag.core.shell import ShellScript
from dag.core.store.records import choose_records
from dag.errors import UsageError
from dag.io.build.confinement import detect
from dag.io.build.journal import Journal
from dag.io.image.tree import definitions_tree
from dag.io.package.makefile import makefile_of
from dag.io.store import ownkey
from dag.io.store.index import write_index
from dag.io.store.local import Store
from dag.io.store.ownkey import own_key
from dag.io.store.takeover import adopt
from dag.report.progress import BuildProgress
from dag.run.build.engine import Engine
from dag.run.build.inputs import read_inputs
from dag.run.build.keyrings import check_keyrings
from dag.run.build.local import LocalRunner, LocalSettings
from dag.run.build.sources import renew_git_config, require_cached_sources
from dag.run.build.steps import require_confined_steps
from dag.run.build.stores import store_path
from dag.run.build.tools import Tools
from dag.run.build.workspace import Parts, fingerprints, split_by_package
from dag.run.graph.definitions import read_definitions
from dag.run.graph.repositories import Named, Repositories, ask_repositories
from dag.run.sources.place import cache_beside, note_on_old_cache

Say = Callable[[str], None]

_KEPT = (
    *("PATH", "HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    "HTTP_AUTH",
)
"""The variables of the user's environment that make gets; no Makefile takes them for its own."""


class Build:
    """A directory of definitions, a store, and the plan that they lead to.

    The caller holds the lock of the store, if it is to be changed.
    """

    def __init__(self, options: BuildOptions, store: Store, say: Say) -> None:
        """Read the directory and the store, and make the plan.

        Raises:
            UsageError: a definition is wrong, a name unknown, or there is no Makefile.

        """
        self.options = options
        self.directory = Path(options.directory)
        self.limits = options.limits(_machine_resources())
        self.store = store
        if store.root == self.directory.resolve():
            raise UsageError(
                "--store is the directory of the definitions, so it would be a part of every build",
                hint=f"name a directory below it, like {self.directory / 'packages'}",
            )
        self._say = say
        self.makefile = makefile_of(self.directory, options.target_template)
        for note in self.makefile.notes("KEY", "MELANGE_EXTRA_OPTS"):
            say(note)
        foreign = self.makefile.foreign_key_note("--signing-key") if options.signing_key else None
        if foreign:
            say(foreign)
        found = read_definitions(options, options.directory, options.arch)
        for line in found.words():
            say(line)
        packages = found.packages
        self.repositories = _ask_repositories(options, packages)
        for line in self.repositories.words:
            say(line)
        have = self.repositories.common
        self.elsewhere = frozenset(one.name for one in packages if offers(have.versions, one))
        self.graph = Graph(
            packages,
            arch=options.arch.apk,
            repository=have,
            own=self.repositories.own,
            broken=found.broken,
        )
        self.parts = self._split(found.broken)
        self.fingerprints = fingerprints(self.parts, packages)
        adopt(store, (one for one in packages if one.builds_on(options.arch.apk)), say)
        self.plan = self._plan(have)
        if options.hermetic:
            require_cached_sources(self._cache(), [step.package for step in self.plan.steps])
        for note in self.makefile.file_notes(step.package for step in self.plan.steps):
            say(note)
        self.about = summarize(self.plan)

    def _split(self, broken: Sequence[BrokenDefinition]) -> Parts:
        tree = definitions_tree(self.directory)
        for note in tree.notes() if self.options.verbose else ():
            self._say(note)
        # A store inside of the directory is no part of what is built. Repositories and keyrings
        # there are linked into each workspace, whichever package they seem to belong to.
        root = self.directory.resolve()
        apart = [os.path.relpath(self.store.root, root), *self._linked_paths()]
        prefixes = tuple(f"{path}/" for path in apart)
        entries = [e for e in tree.entries if not f"{e.path}/".startswith(prefixes)]
        return split_by_package(entries, self.graph.packages, broken, self.options.common)

    def _linked_paths(self) -> dict[str, Path]:
        """Return the repositories and keyrings inside of the directory, by their paths in it."""
        root = self.directory.resolve()
        found = {}
        for item in (*_roots(self.options), *self.options.keyrings):
            if "://" not in item:
                path = Path(_absolute_location(item))
                if path == self.store.root:
                    raise UsageError(
                        f"-r {item} is the store itself, which is always asked: leave it out"
                    )
                if path != root and path.is_relative_to(root):
                    found[os.fspath(path.relative_to(root))] = path
        # One that lies inside of another comes with that.
        return {
            name: path
            for name, path in found.items()
            if not any(name.startswith(f"{other}/") for other in found)
        }

    def _plan(self, have: PackageRepository) -> BuildPlan:
        options, store = self.options, self.store
        request = options.request()
        versions = {package.name: package.full_version for package in self.graph.packages}
        records = choose_records(store.records.values(), versions)
        for name, version in versions.items():
            same = store.find(name, version, self.fingerprints.get(name, ""))
            records |= {} if same is None else {name: same}
        self.records = records
        known = Known(
            stored={name: Stored.of(record) for name, record in records.items()},
            repository=have.versions,
            available=have.names,
            fingerprints=self.fingerprints,
            seconds=store.seconds(),
            ram=store.ram(),
        )
        if options.since is not None:
            request = _request_since(options, self.graph, request)
            if not request.packages:
                self._say(f"nothing has changed since {options.since}")
                return BuildPlan(
                    arch=options.arch, steps=(), gates=(), skipped=(), stuck=(), blocked={},
                    unbuildable={}, dropped=(), timed=0, external={},
                )  # fmt: skip
        return make_plan(self.graph, options.arch, request, known)

    def scheduler(self) -> Scheduler:
        """Make the scheduler of the plan."""
        return Scheduler(self.plan.units, self.limits)

    async def run(self) -> Result:
        """Build what is planned, and return the result.

        Raises:
            InfrastructureError: make, melange or bubblewrap is not installed, or the store fails.

        """
        options = self.options
        if not self.plan.steps:
            self._publish()
            scheduler = self.scheduler()
            with self._begin_journal(scheduler) as journal:
                journal.append(lines.encode_event(0.0, Began()))
                scheduler.handle(Began(), 0.0)
            return make_result(self.about, scheduler, 0.0)
        tools = Tools.find()
        settings = self._settings(tools)
        if settings.confined:
            require_confined_steps(settings.environment)
        else:
            self._say("--trust-steps: the steps of a build have all rights that you have")
        limiter = detect()
        if options.verbose:
            self._say(f"limits of memory and CPU: {limiter.name}")
        if limiter.name == "none":
            self._say("memory is not limited: dag may not write control groups here")
        runner = LocalRunner(self.graph, self.store, settings, limiter)
        scheduler = self.scheduler()
        with self._begin_journal(scheduler) as journal:
            progress = BuildProgress(
                scheduler,
                self.about,
                store=str(store_path(options)),
                verbosity=options.verbose,
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
        self._publish()
        return make_result(self.about, scheduler, seconds)

    @contextmanager
    def _begin_journal(self, scheduler: Scheduler) -> Iterator[Journal]:
        """Begin the journal of this run, which takes the place of the latest run's."""
        head = lines.make_head(self.about, scheduler, began=time.time(), pid=os.getpid())
        with Journal(self.store.journal) as journal:
            journal.append(lines.encode_head(head))
            yield journal

    def _publish(self) -> None:
        """Publish what is finished, and what the store has of the plan; then write the index."""
        given = _require_public_half(self.options)

        def key(tools: Tools) -> Path:
            return given or own_key(self.store, tools.make_key)

        def sign_packages(paths: Iterable[Path]) -> None:
            tools = Tools.find()
            tools.sign_packages(paths, key(tools))

        def sign_index(path: Path) -> None:
            tools = Tools.find()
            tools.sign_index(path, key(tools))

        for one in self.plan.skipped:
            if one.absence is Absence.STORED:
                self.store.publish(self.records[one.package.name], sign_packages)
        name = _public_half_of(given).name if given else f"{ownkey.NAME}.pub"
        write_index(self.store, sign_index, self._say, key=name, anew=given is not None)

    def _cache(self) -> Path:
        """Return the cache beside the definitions; if there is none, an empty one of this run."""
        cache = cache_beside(self.directory.resolve())
        return cache if cache.is_dir() else self.store.work.resolve() / "cache"

    def _settings(self, tools: Tools) -> LocalSettings:
        # melange writes the names of keys and repositories into what it builds. They must be the
        # same wherever the store is, and the same as in a pod.
        options = self.options
        links: dict[str, Path] = self._linked_paths()
        key = _require_public_half(options)
        name = key_of(options.make_vars, self.makefile.key)
        if key is None:
            made = own_key(self.store, tools.make_key)
            if not (Path(name).is_absolute() or ".." in Path(name).parts):
                links |= {name: made, f"{name}.pub": _public_half_of(made)}
        public = f"{key.name if key else Path(name).name}.pub"
        check_keyrings(options.keyrings, public, _public_half_of(key or made))
        if note := note_on_old_cache(self.directory):
            self._say(note)
        cache = self._cache()
        cache.mkdir(exist_ok=True)
        renew_git_config(cache)
        variables = MakeVariables(
            arch=options.arch,
            source_date_epoch=0,  # each unit has its own
            cache_dir=os.fspath(cache),
            melange=tools.melange,
            melange_dir=tools.melange_dir,
            key=os.fspath(key.resolve()) if key else self.makefile.key,
            repositories=[_location_from_workspace(self.directory, one) for one in _roots(options)],
            keyrings=[_location_from_workspace(self.directory, one) for one in options.keyrings],
            pipeline_dirs=[os.fspath(Path(one).resolve()) for one in options.pipeline_dirs],
            build_options=options.build_options,
            more=options.make_vars,
        )
        dropped: dict[str, set[str]] = {}
        for one in self.plan.dropped:
            dropped.setdefault(one.package, set()).add(one.name)

        def script_at(epoch: int) -> ShellScript:
            return build_script(
                replace(variables, source_date_epoch=epoch),
                key_maker=KeyMaker.NOBODY,
                hermetic=options.hermetic,
                trust_steps=options.trust_steps,
                state="../state",  # beside the workspace
            )

        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return LocalSettings(
            arch=options.arch,
            script_at=script_at,
            inputs=read_inputs(
                [step.package for step in self.plan.steps],
                directory=self.directory,
                graph=self.graph,
                parts=self.parts,
                fingerprints=self.fingerprints,
                store=self.store,
                variables=variables,
                script=script_at(0),
                checksums={},
            ),
            makefile=self.makefile,
            environment={**kept, "LC_ALL": "C.UTF-8"},
            parts=self.parts,
            links=links,
            fingerprints=self.fingerprints,
            records=self.records,
            dropped={name: frozenset(names) for name, names in dropped.items()},
            elsewhere=self.elsewhere,
            timeout=options.timeout,
            confined=not options.trust_steps,
        )


def _ask_repositories(options: BuildOptions, packages: Sequence[Package]) -> Repositories:
    places = tuple(map(_absolute_location, _roots(options)))
    named = Named(repositories=places, keys=options.keyrings)
    return ask_repositories(packages, Path(options.directory), options.arch, named)


def _roots(options: BuildOptions) -> list[str]:
    return [repository_root(one) for one in options.repositories]


def _machine_resources() -> MachineResources:
    return MachineResources(
        processors=len(os.sched_getaffinity(0)),
        ram=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )


def _absolute_location(item: str) -> str:
    if "://" in item:
        return item
    path = Path(item)
    if not path.exists():
        raise UsageError(f"{item}: there is no such file or directory")
    return os.fspath(path.resolve())


def _location_from_workspace(directory: Path, item: str) -> str:
    path = _absolute_location(item)
    if "://" in path or not Path(path).is_relative_to(directory.resolve()):
        return path
    return f"./{Path(path).relative_to(directory.resolve())}"


def _public_half_of(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def _require_public_half(options: BuildOptions) -> Path | None:
    key = Path(options.signing_key) if options.signing_key else None
    if key is not None and not _public_half_of(key).is_file():
        raise UsageError(
            f"{key} has no public half {key.name}.pub beside it",
            hint=f"make it with: openssl rsa -in {key} -pubout -out {key}.pub",
        )
    return key


def _request_since(options: BuildOptions, graph: Graph, request: BuildRequest) -> BuildRequest:
    from dag.run.graph.changes import affected_since

    assert options.since is not None  # noqa: S101  # the caller's condition
    pipeline_dirs = [Path(one) for one in options.pipeline_dirs]
    found = affected_since(
        Path(options.directory), options.since, graph, options.arch, pipeline_dirs
    )
    changed = set(found.reasons)
    if request.rebuild_dependents:
        changed = {package.name for package in found.packages}
    lenient = not request.packages
    if request.packages:
        changed &= {package.name for package in graph.order(request.packages)}
    names = changed | request.rebuild
    return replace(request, packages=tuple(sorted(names)), lenient=lenient)
