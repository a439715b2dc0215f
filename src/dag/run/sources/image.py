"""The cache as an image: pushes what was fetched, and fills a cache from what was pushed."""

from __future__ import annotations

import asyncio

from dag.io.image.bundle import Pushed, push_bundle
from dag.io.sources.cache import Cache
from dag.io.sources.git.cache import adopt
from dag.io.sources.git.process import GitLimits
from dag.io.sources.git.stored import write_config
from dag.io.sources.image import Filled, fill, image_entries, staging
from dag.report.fetching import FetchProgress
from dag.run.image.agent import AgentChoice
from dag.run.sources.cache import CacheResult


def push(
    cache: Cache,
    result: CacheResult,
    repository: str,
    *,
    choice: AgentChoice,
    insecure: bool,
    progress: FetchProgress,
) -> Pushed:
    """Push what was asked for and is in the cache as an image, on top of the agent's.

    Raises:
        RegistryError: the registry cannot be reached or refuses.

    """
    names = [
        digest.name
        for item in result.files
        if item.status != "failed"
        for digest in item.download.digests
    ]
    paths = [item.repository.path for item in result.repositories]
    agent = choice.push(repository, insecure=insecure, tell=progress.note)
    return push_bundle(
        repository,
        image_entries(cache, names, paths),
        base=str(agent),
        insecure=insecure,
        progress=progress.note,
    )


async def take(
    cache: Cache, reference: str, *, insecure: bool, progress: FetchProgress, limits: GitLimits
) -> tuple[Filled, list[str]]:
    """Fill the cache from an image; return what came, and what was wrong with repositories.

    Raises:
        RegistryError: the registry cannot be reached, or has no such image.
        InfrastructureError: a file of the image is not what its name says.

    """
    wrong = []
    with staging(cache) as directory:
        filled, staged = await asyncio.to_thread(
            fill,
            cache,
            directory,
            reference,
            insecure=insecure,
            max_size=limits.max_size,
            progress=progress.note,
        )
        for relative in staged:
            problem = await adopt(cache, directory, relative, limits)
            if problem is not None:
                wrong.append(f"git/{relative}: {problem}")
    write_config(cache)
    return filled, wrong
