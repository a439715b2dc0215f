"""`dag cache`: from definitions to a verified cache, and from there to an image and back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dag.core.package.model import Checkout, Fetch, Package
from dag.core.sources.checkouts import GitRepository, repositories_of
from dag.core.sources.downloads import (
    Download,
    SourceFailure,
    SourceProblem,
    cache_names,
    downloads_of,
    failures_of,
)
from dag.core.sources.gitstate import VerifiedState
from dag.core.sources.options import CacheOptions
from dag.core.sources.remotes import locate
from dag.core.web import redact
from dag.errors import UsageError
from dag.io.sources.cache import Cache, RemovedEntry
from dag.io.sources.downloads import Downloader, DownloadOutcome
from dag.io.sources.git.stored import prune_git, read_states, write_config
from dag.io.sources.logins import Logins
from dag.io.sources.transport import TransferLimits
from dag.report.fetching import FetchProgress
from dag.report.terminal import say
from dag.report.words import some
from dag.run.graph.definitions import read_definitions

if TYPE_CHECKING:
    from dag.io.sources.git.cache import GitOutcome

_GIT_JOBS = 8
_GIT_PER_HOST = 4
_TICK = 1.0
_S = TypeVar("_S", Fetch, Checkout)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """The sources that definitions want, each once."""

    downloads: list[Download]
    repositories: list[GitRepository]
    others: list[GitRepository]
    """The repositories that only definitions name that were not asked for."""
    problems: list[SourceProblem]
    """The steps that cannot be fetched as they are written."""
    unpinned: list[SourceProblem]
    """The checkouts of whatever is there at the time."""
    named: set[str]
    """The names of all files that steps have, also of those that do not run or cannot be fetched."""


@dataclass(kw_only=True, slots=True)
class CacheResult:
    """The end of a run: what became of each source."""

    sources: Sources
    files: list[DownloadOutcome] = field(default_factory=list)
    repositories: list[GitOutcome] = field(default_factory=list)
    bundle: str | None = None

    @property
    def failures(self) -> list[SourceFailure]:
        """Return the sources that failed, each once, in the order of the definitions."""
        found = [
            SourceFailure(item.download.places, item.problems)
            for item in self.files
            if item.status == "failed"
        ]
        problems = list(self.sources.problems)
        for item in self.repositories:
            problems += item.problems if item.status == "failed" else ()
        found += failures_of(problems)
        return sorted(found, key=lambda one: (one.places, one.problems[0].uri))

    def as_json(self, directory: Path) -> dict[str, Any]:
        """Return it as one document; sizes in bytes."""
        return {
            "cache": str(directory),
            "sources": [
                {
                    "names": [digest.name for digest in item.download.digests],
                    "uris": [redact(uri) for uri in item.download.uris],
                    "places": [str(place) for place in item.download.places],
                    "status": item.status,
                    "size": item.size,
                    "received": item.received,
                    "from": item.uri or None,
                    "problems": [str(problem) for problem in item.problems],
                }
                for item in self.files
            ],
            "repositories": [
                {
                    "path": f"git/{item.repository.path}.git",
                    "uri": item.repository.uri,
                    "wants": [
                        {
                            "ref": want.ref,
                            "commit": want.commit,
                            "places": list(map(str, want.places)),
                        }
                        for want in item.repository.wants
                    ],
                    "status": item.status,
                    "size": item.size,
                    "problems": [str(problem) for problem in item.problems],
                }
                for item in self.repositories
            ],
            "problems": list(map(_failure_as_json, self.failures)),
            "unpinned": list(map(_problem_as_json, self.sources.unpinned)),
            "bundle": self.bundle,
        }


def gather(options: CacheOptions) -> Sources:
    """Return what the definitions fetch: all of them, or those that a build would build.

    Of a repository that these name it is what any definition wants: without that, builds could not
    use it. What git clones comes with it, unless it is not to be fetched.

    Raises:
        UsageError: a definition is wrong, a name is unknown, or an index is wrong.
        InfrastructureError: a repository's server does not answer as it should.

    """
    found = read_definitions(options, options.directory, options.arch)
    for line in found.words():
        say(line)
    if options.pruning and found.broken:
        raise UsageError(
            "nothing is removed, because nobody can tell what the broken definitions fetch: "
            + some([one.file for one in found.broken]),
            hint="mend or remove them first",
        )
    credentials = options.credentials or options.pruning
    every = repositories_of(_steps(found.packages, Checkout), credentials=credentials)
    packages: Sequence[Package] = found.packages
    if options.is_planned:
        from dag.run.sources.plan import packages_to_fetch_for, packages_to_keep

        packages = (packages_to_keep if options.pruning else packages_to_fetch_for)(options, found)
    files, problems = downloads_of(_steps(packages, Fetch))
    steps = _steps(packages, Checkout) if options.git or options.pruning else ()
    asked = repositories_of(steps, credentials=credentials)
    paths = {repository.path for repository in asked.repositories}
    return Sources(
        downloads=files,
        repositories=[repository for repository in every.repositories if repository.path in paths],
        others=[repository for repository in every.repositories if repository.path not in paths],
        problems=[*problems, *asked.problems],
        unpinned=[one for one in every.unpinned if locate(one.uri).path in paths],
        named=cache_names(
            step for package in packages for step in package.sources if isinstance(step, Fetch)
        ),
    )


def _steps(packages: Iterable[Package], kind: type[_S]) -> Iterator[_S]:
    for package in packages:
        for step in package.sources:
            if step.runs and isinstance(step, kind):
                yield step


async def bring(
    cache: Cache,
    sources: Sources,
    progress: FetchProgress,
    *,
    limits: TransferLimits,
    mirrors: Sequence[str],
    verify: bool,
    credentials: bool,
) -> CacheResult:
    """Fetch what is not in the cache: files, and beside them repositories.

    Raises:
        InfrastructureError: the cache cannot be used, or git is wanted and not installed.

    """
    downloader = Downloader(
        cache,
        progress,
        limits=limits,
        mirrors=mirrors,
        verify=verify,
        logins=Logins.of_the_user() if credentials else None,
    )
    repositories = _bring_repositories(
        cache, sources, progress, limits=limits, verify=verify, credentials=credentials
    )
    ticker = asyncio.create_task(_tick(progress))
    try:
        files, gits = await _run_both(downloader.run(sources.downloads), repositories)
    finally:
        ticker.cancel()
    write_config(cache, [*sources.repositories, *sources.others])
    return CacheResult(sources=sources, files=files, repositories=gits)


async def _bring_repositories(
    cache: Cache,
    sources: Sources,
    progress: FetchProgress,
    *,
    limits: TransferLimits,
    verify: bool,
    credentials: bool,
) -> list[GitOutcome]:
    if not sources.repositories:
        return []
    from dag.io.sources.git.cache import GitCache
    from dag.io.sources.git.process import GitLimits

    repositories = GitCache(
        cache,
        progress,
        retry=limits.retry,
        limits=GitLimits(max_size=limits.max_size, stall=limits.stall),
        jobs=min(limits.jobs, _GIT_JOBS),
        per_host=min(limits.per_host, _GIT_PER_HOST),
        verify=verify,
        credentials=credentials,
    )
    return await repositories.run(sources.repositories, sources.others)


async def _run_both(
    files: Coroutine[Any, Any, list[DownloadOutcome]],
    repositories: Coroutine[Any, Any, list[GitOutcome]],
) -> tuple[list[DownloadOutcome], list[GitOutcome]]:
    tasks = asyncio.create_task(files), asyncio.create_task(repositories)
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        # Both have to let go of their files and processes before anything else happens.
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _tick(progress: FetchProgress) -> None:
    while True:
        await asyncio.sleep(_TICK)
        progress.tick()


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source that is wanted, and whether the cache has it."""

    state: str
    name: str
    """Its name in the cache, and of a repository which ref and which commit."""
    uri: str
    places: str
    """The places at which definitions name it."""


def list_states(cache: Cache, sources: Sources) -> list[SourceState]:
    """Return for each source whether it is in the cache. Nothing is fetched."""
    found = []
    for item in sources.downloads:
        state = "missing"
        with suppress(OSError):  # something else is in its place
            state = state if cache.check(item.digests).missing else "present"
        places = " ".join(map(str, item.places))
        found.append(SourceState(state, item.name, redact(item.uris[0]), places))
    known = read_states(cache)
    for repository in sources.repositories:
        state_of = known.get(repository.path, VerifiedState())
        for want in repository.wants:
            state = "present" if state_of.holds(want) else "missing"
            name = f"git/{repository.path}.git {want.ref} {want.commit}"
            places = " ".join(map(str, want.places))
            found.append(SourceState(state, name, repository.uri, places))
    return found


def prune(cache: Cache, sources: Sources, *, dry_run: bool) -> list[RemovedEntry]:
    """Remove what no definition names, and return it."""
    removed = cache.prune(sources.named, dry_run=dry_run)
    removed += prune_git(cache, sources.repositories, dry_run=dry_run)
    if not dry_run:
        write_config(cache)
    return removed


def _failure_as_json(failure: SourceFailure) -> dict[str, object]:
    first, *others = failure.problems
    return {
        **_problem_as_json(first),
        "places": list(map(str, failure.places)),
        "others": [{"uri": one.uri, "message": one.message} for one in others],
    }


def _problem_as_json(problem: SourceProblem) -> dict[str, str]:
    return {"place": str(problem.place), "uri": problem.uri, "message": problem.message}
