"""Brings bare repositories into the cache: `git/HOST/ORG/REPO.git`.

What a remote sends is fetched under names that no clone sees (`refs/dag/`), and gets the name that a
step asks for only when it is the commit that the step expects; then a hash vouches for everything
below it. `dag.json` in a repository says what was verified.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dag.core.sources.checkouts import WHOLE, GitRepository, Want
from dag.core.sources.downloads import SourceProblem, StepPlace
from dag.core.sources.remotes import Remote, locate
from dag.errors import InfrastructureError, UsageError
from dag.io import durable
from dag.io.files import make_directory
from dag.io.retries import RetryPolicy, retry_async
from dag.io.sources.git.process import Git, GitFailed, GitLimits
from dag.io.sources.git.repository import BareRepository
from dag.io.sources.git.stored import GIT
from dag.io.sources.git.submodules import Link, read_submodules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from dag.core.sources.downloads import Watcher
    from dag.io.sources.cache import Cache

_DEEPEST = 16
"""How deep submodules of submodules may be; more is a circle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOutcome:
    """The end of the work on a repository: whether it is in the cache, and what was wrong."""

    repository: GitRepository
    status: Literal["present", "fetched", "failed"]
    size: int = 0
    """The size of its packs in bytes."""
    problems: tuple[SourceProblem, ...] = ()


@dataclass(slots=True)
class _Run:
    """The state of one run: each repository has one task at a time, each link is followed once."""

    outcomes: dict[str, GitOutcome] = field(default_factory=dict)
    links: set[Link] = field(default_factory=set)
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    others: dict[str, GitRepository] = field(default_factory=dict)


class GitCache:
    """Brings repositories into a cache."""

    def __init__(
        self,
        cache: Cache,
        watcher: Watcher,
        *,
        retry: RetryPolicy,
        limits: GitLimits | None = None,
        jobs: int = 8,
        per_host: int = 4,
        verify: bool = False,
        credentials: bool = False,
    ) -> None:
        """Take the cache, and who is told of the progress.

        `verify` reads every object again, also where nothing seems to have changed. Only with
        `credentials` git logs in where that is needed, as the user would with it.
        """
        self._cache = cache
        self._watcher = watcher
        self._retry = retry
        self._limits = limits or GitLimits()
        self._jobs = asyncio.Semaphore(jobs)
        self._per_host = per_host
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._verify = verify
        self._credentials = credentials
        self._run = _Run()

    async def run(
        self, wanted: Sequence[GitRepository], others: Iterable[GitRepository] = ()
    ) -> list[GitOutcome]:
        """Fetch what is not there, submodules too; those follow in the result.

        What definitions want of `others` is fetched if they are submodules of those wanted.

        Raises:
            InfrastructureError: the cache cannot be used, or there is no git.

        """
        self._run = _Run(others={repository.path: repository for repository in others})
        failed: InfrastructureError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for repository in wanted:
                    if repository.wants:
                        group.create_task(self._bring(repository, 0))
        except* (OSError, InfrastructureError) as errors:
            failed = self._unusable_cache(errors)
        if failed is not None:  # what is raised in except* is wrapped before Python 3.11.4
            raise failed
        return list(self._run.outcomes.values())

    def _unusable_cache(self, errors: BaseException) -> InfrastructureError:
        error = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, InfrastructureError):
            return error
        return InfrastructureError(f"{self._cache.directory}: {error}")

    async def _bring(self, repository: GitRepository, deep: int) -> None:
        lock = self._run.locks.setdefault(repository.path, asyncio.Lock())
        host = self._hosts.setdefault(repository.host, asyncio.Semaphore(self._per_host))
        # The repository first: who has a turn never waits for one who has not.
        async with lock, host, self._jobs:
            with await self._cache.wait_for_lock(repository.path):
                try:
                    outcome, links = await self._refresh(repository)
                except GitFailed as error:
                    places = [place for want in repository.wants for place in want.places]
                    problems = tuple(
                        SourceProblem(place, repository.uri, str(error)) for place in places
                    )
                    outcome = GitOutcome(repository=repository, status="failed", problems=problems)
                    links = {}
        self._note(outcome)
        async with asyncio.TaskGroup() as group:
            for link, place in links.items():
                if link not in self._run.links:
                    self._run.links.add(link)
                    group.create_task(self._submodule(link, place, repository, deep + 1))

    async def _submodule(
        self, link: Link, place: StepPlace, parent: GitRepository, deep: int
    ) -> None:
        try:
            remote = self._locate(link, deep)
        except UsageError as error:
            problem = SourceProblem(place, parent.uri, f"submodule {link.path}: {error.message}")
            self._note(GitOutcome(repository=parent, status="failed", problems=(problem,)))
            return
        want = Want("commit", "", link.commit, 1, submodules=True, places=(place,))
        other = self._run.others.pop(remote.path, None)
        if other is not None and other.wants:
            await self._bring(other, deep)
        await self._bring(GitRepository(remote.path, link.uri, (want,), (remote.base,)), deep)

    def _locate(self, link: Link, deep: int) -> Remote:
        if deep > _DEEPEST:
            raise UsageError(f"it is nested more than {_DEEPEST} deep")
        remote = locate(link.uri)
        remote.require(credentials=self._credentials)
        return remote

    def _note(self, outcome: GitOutcome) -> None:
        path = outcome.repository.path
        known = self._run.outcomes.get(path)
        if known is None:
            self._run.outcomes[path] = outcome
            return
        status = max(known.status, outcome.status, key=("present", "fetched", "failed").index)
        self._run.outcomes[path] = GitOutcome(
            repository=known.repository,
            status=status,
            size=max(known.size, outcome.size),
            problems=known.problems + outcome.problems,
        )

    async def _refresh(self, repository: GitRepository) -> tuple[GitOutcome, dict[Link, StepPlace]]:
        directory = self._cache.directory / GIT / f"{repository.path}.git"
        git = Git(directory, self._limits, credentials=self._credentials)
        bare = BareRepository(git, self._cache.records, self._cache.directory)
        bare.ask(repository.wants)
        if not await bare.open(force=self._verify):
            self._watcher.note(f"{directory} was damaged and has been removed")
            await asyncio.to_thread(shutil.rmtree, directory)
            await bare.open(force=False)
        missing = [want for want in repository.wants if not bare.has(want)]
        if bare.state.depth is not None and bare.state.depth != WHOLE and repository.depth == WHOLE:
            missing = list(repository.wants)
        problems: list[SourceProblem] = []
        links: dict[Link, StepPlace] = {}
        if missing:
            self._watcher.begin(repository.path, repository.uri)
            try:
                problems = await self._fetch(bare, repository, missing)
            finally:
                self._watcher.end(repository.path, ok=not problems)
        broken = {problem.place for problem in problems}
        for want in repository.wants:
            if want.submodules and want.places[0] not in broken:
                try:
                    found = await read_submodules(bare.git, want.commit, repository.uri)
                except GitFailed as error:
                    problems.append(SourceProblem(want.places[0], repository.uri, str(error)))
                    continue
                links |= dict.fromkeys(found, want.places[0])
        size = await asyncio.to_thread(bare.save, repository, list(links))
        status: Literal["present", "fetched", "failed"] = "fetched" if missing else "present"
        outcome = GitOutcome(
            repository=repository,
            status="failed" if problems else status,
            size=size,
            problems=tuple(problems),
        )
        return outcome, links

    async def _fetch(
        self, bare: BareRepository, repository: GitRepository, missing: Collection[Want]
    ) -> list[SourceProblem]:
        wrong: dict[Want, str] = {}
        by_ref: dict[str, list[Want]] = {}
        for want in repository.wants:
            by_ref.setdefault(want.ref, []).append(want)
        for wants in by_ref.values():
            # All that is expected of a ref at once: it can only be at one place.
            if any(want in missing for want in wants):
                try:
                    wrong |= await self._fetch_with_retries(bare, repository, wants)
                except GitFailed as error:
                    wrong |= dict.fromkeys(wants, str(error))
        problems: list[SourceProblem] = []
        for want in repository.wants:
            if not bare.has(want):
                message = wrong.get(want, f"another step needs {want} to be at another commit")
                problems += [SourceProblem(place, repository.uri, message) for place in want.places]
                await bare.forget(want)
        return problems

    async def _fetch_with_retries(
        self, bare: BareRepository, repository: GitRepository, wants: Sequence[Want]
    ) -> dict[Want, str]:
        *others, last = repository.uris
        for uri in others:
            with suppress(GitFailed):
                return await self._fetch_from(uri, bare, repository, wants)
        return await self._fetch_from(last, bare, repository, wants)

    async def _fetch_from(
        self, uri: str, bare: BareRepository, repository: GitRepository, wants: Sequence[Want]
    ) -> dict[Want, str]:
        return await retry_async(
            lambda: bare.fetch(uri, wants, depth=repository.depth), self._retry
        )


async def adopt(cache: Cache, staging: Path, relative: Path, limits: GitLimits) -> str | None:
    """Take a repository that came by another way, once all in it is verified.

    `relative` is its path below `git/`, in `staging` as in the cache. One that the cache has
    already stays, unless the new one has all that it has. Returns what is wrong, or still lacking.
    """
    path = relative.as_posix().removesuffix(".git")
    target = cache.directory / GIT / relative
    source = staging / GIT / relative
    try:
        if locate(f"https://{path}").path != path:
            return "the cache uses no such path"
    except UsageError as error:
        return error.message
    held = cache.try_lock(path)
    if held is None:
        return "another process works on it; run this again when that has ended"
    try:
        new = BareRepository(Git(source, limits), cache.records, staging)
        if not (await new.open(force=True) and new.state.refs):
            return "its objects or refs are not what they should be"
        old = BareRepository(Git(target, limits), cache.records, cache.directory)
        make_directory(cache.directory, GIT / relative.parent)
        if target.is_symlink():
            target.unlink()
        if target.exists():
            sound = await old.open(force=False)
            lacking = old.state.behind(new.state) if sound else []
            if sound and not lacking:
                return None
            if sound and (kept := new.state.behind(old.state)):
                return (
                    f"not taken: the one in the cache has {', '.join(kept)} that it lacks, and"
                    f" lacks {', '.join(lacking)}: run dag cache, or remove it and run this again"
                )
            await asyncio.to_thread(shutil.rmtree, target)
        durable.rename(source, target)
    except GitFailed as error:
        return str(error)
    finally:
        held.release()
    return None
