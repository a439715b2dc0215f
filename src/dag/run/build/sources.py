"""The cache as builds use it: whether it has what steps fetch, and what leads git to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dag.core.package.model import Checkout, Fetch, Package
from dag.core.sources.gitconfig import CONFIG_NAME
from dag.core.web import redact
from dag.errors import DagError, UsageError

if TYPE_CHECKING:
    from dag.core.sources.checkouts import GitRepository
    from dag.core.sources.downloads import SourceProblem
    from dag.io.sources.cache import Cache

# What is about sources takes long to import, and most builds ask for none of it.

_SHOWN = 20
"""How many missing sources an error names."""


def require_cached_sources(directory: Path, packages: Iterable[Package]) -> None:
    """Refuse packages of which a step fetches what the cache in `directory` does not have.

    Raises:
        UsageError: there are some; the message names each source with the file and the line.

    """
    from dag.io.sources.cache import Cache

    found = set(_missing(Cache(directory, make=False), packages))
    if not found:
        return
    missing = sorted(found, key=lambda one: (one.place, one.uri))
    shown = [*map(str, missing[:_SHOWN])]
    if len(missing) > _SHOWN:
        shown.append(f"and {len(missing) - _SHOWN} more")
    raise UsageError(
        "\n".join(
            ["--hermetic: these sources are not in the cache, and steps have no network", *shown]
        ),
        hint="`dag cache` fetches them; without --hermetic steps fetch them themselves",
    )


def renew_git_config(directory: Path) -> None:
    """Write anew what git, in steps, reads of a cache, should somebody else have written there.

    Steps of earlier versions could. A cache that cannot be written is one that they could not write.
    """
    if (directory / CONFIG_NAME).exists():
        from dag.io.sources.cache import Cache
        from dag.io.sources.git.stored import write_config

        with suppress(DagError, OSError):
            write_config(Cache(directory))


def _missing(cache: Cache, packages: Iterable[Package]) -> Iterator[SourceProblem]:
    from dag.core.sources.checkouts import repositories_of
    from dag.core.sources.downloads import SourceProblem, downloads_of
    from dag.io.sources.git.stored import read_states, redirected_uris

    steps = [step for package in packages for step in package.sources if step.runs]
    downloads, problems = downloads_of(step for step in steps if isinstance(step, Fetch))
    clones = (step for step in steps if isinstance(step, Checkout))
    wanted = repositories_of(clones, credentials=True)
    yield from (*problems, *wanted.problems, *wanted.unpinned)
    for download in downloads:
        # melange looks for the first of a file's names only.
        if not (cache.directory / download.name).is_file():
            for place in download.places:
                yield SourceProblem(place, redact(download.uris[0]), download.name)
    states = read_states(cache)
    led = redirected_uris(states)
    for repository in wanted.repositories:
        lacking = _lacking(repository, led)
        for want in repository.wants:
            if lacking or not states[repository.path].holds(want):
                for place in want.places:
                    yield SourceProblem(place, redact(repository.uri), f"{want} at {want.commit}")


def _lacking(repository: GitRepository, led: dict[str, list[str]]) -> bool:
    """Return whether git, in a step, would ask the network for a repository."""
    return not set(repository.bases) <= set(led.get(repository.path, ()))
