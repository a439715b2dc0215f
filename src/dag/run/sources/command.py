"""`dag cache`: one function for each of the things that it does, from its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dag.core.sources.options import CacheOptions
from dag.core.units import quantity
from dag.io.sources.cache import Cache, RemovedEntry
from dag.io.sources.transport import TransferLimits
from dag.report.fetching import FetchProgress
from dag.run.lasting import reading_what_lasts
from dag.run.signals import run_interruptibly
from dag.run.sources import cache as steps
from dag.run.sources.cache import CacheResult, Sources, SourceState
from dag.run.sources.place import cache_directory

if TYPE_CHECKING:
    from dag.io.sources.image import Filled


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceList:
    """The sources, and for each whether it is in the cache."""

    sources: Sources
    states: list[SourceState]


@dataclass(frozen=True, kw_only=True, slots=True)
class Filling:
    """The content of an image that came into the cache, and what was wrong with repositories."""

    filled: Filled
    problems: list[str]


def fetch_sources(options: CacheOptions) -> CacheResult:
    """Fetch what is missing, and push the cache if that is asked for.

    Raises:
        UsageError: a definition is wrong, or a name is unknown.
        InfrastructureError: the cache cannot be used, git is missing, or a registry refuses.
        Interrupted: somebody asked to stop.

    """
    with reading_what_lasts():
        sources = steps.gather(options)
        cache = Cache(cache_directory(options))
    limits = TransferLimits(
        jobs=options.jobs, per_host=options.per_host, max_size=int(quantity(options.max_size))
    )
    with FetchProgress() as progress:
        work = steps.bring(
            cache,
            sources,
            progress,
            limits=limits,
            mirrors=options.mirrors,
            verify=options.verify,
            credentials=options.credentials,
        )
        result = run_interruptibly(work)
        if options.bundle_repo is not None:
            from dag.run.image.agent import AgentChoice  # a registry is not for every run
            from dag.run.sources.image import push

            pushed = push(
                cache,
                result,
                options.bundle_repo,
                choice=AgentChoice(agent=options.agent_image, base=options.bundle_base),
                insecure=options.insecure_registry,
                progress=progress,
            )
            result.bundle = pushed.reference
            progress.note(f"cache {pushed.reference}: {pushed.bytes_uploaded:,} bytes sent")
    return result


def list_sources(options: CacheOptions) -> SourceList:
    """Return what is in the cache and what is missing; nothing is fetched or written.

    Raises:
        UsageError: a definition is wrong, or a name is unknown.

    """
    sources = steps.gather(options)
    cache = Cache(cache_directory(options), make=False)
    return SourceList(sources=sources, states=steps.list_states(cache, sources))


def prune_cache(options: CacheOptions) -> list[RemovedEntry]:
    """Remove what no definition names, and return it.

    Raises:
        UsageError: a definition is wrong, or a name is unknown.

    """
    sources = steps.gather(options)
    cache = Cache(cache_directory(options), make=not options.dry_run)
    return steps.prune(cache, sources, dry_run=options.dry_run)


def fill_cache(options: CacheOptions, reference: str) -> Filling:
    """Fill the cache from an image.

    Raises:
        RegistryError: the registry cannot be reached, or has no such image.
        InfrastructureError: a file of the image is not what its name says.
        Interrupted: somebody asked to stop.

    """
    from dag.io.sources.git.process import GitLimits
    from dag.run.sources.image import take

    with FetchProgress() as progress:
        work = take(
            Cache(cache_directory(options)),
            reference,
            insecure=options.insecure_registry,
            progress=progress,
            limits=GitLimits(),
        )
        filled, problems = run_interruptibly(work)
    return Filling(filled=filled, problems=problems)
