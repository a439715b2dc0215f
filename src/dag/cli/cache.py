"""`dag cache`: fetch the sources that definitions name, each verified, none twice."""

from __future__ import annotations

from dataclasses import asdict, astuple
from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.core.sources.options import CacheOptions
from dag.report.envelope import envelope
from dag.report.terminal import say, show, show_document, tell

if TYPE_CHECKING:
    from dag.run.sources.cache import Sources


@command_of(
    CacheOptions,
    ("Fetch what brotli and what it needs are built from.", "dag cache brotli"),
    (
        "Show what `dag build` would fetch if it takes the rest from a repository.",
        "dag cache -r https://example.com/os --dry-run",
    ),
    ("Remove what no definition names any more.", "dag cache prune"),
    ("Push the cache as an image.", "dag cache --bundle-repo registry.example.com/me/cache"),
)
def command(options: CacheOptions) -> int:
    """Fetch and verify the sources that the definitions name.

    `fetch` steps become files sha256:HEX and sha512:HEX, `git-checkout` steps bare repositories.
    Every one is verified. With PKG or -r, it is what `dag build` would need with the same flags. All
    are tried, and all failures are listed at the end; then the exit code is 1. With --bundle-repo
    the cache is pushed as an image, whose name goes to the standard output.

    `dag cache prune` removes what no definition names. With PKG, only what they need is kept.
    """
    from dag.run.sources.place import note_on_old_cache

    options.check()
    if not options.out and (note := note_on_old_cache(options.directory)):
        say(note)
    if options.from_bundle is not None:
        return _fill(options, options.from_bundle)
    if options.pruning:
        return _prune(options)
    if options.dry_run:
        return _list(options)
    return _fetch(options)


def _fetch(options: CacheOptions) -> int:
    from dag.report.fetching import size
    from dag.report.words import count
    from dag.run.sources.command import fetch_sources
    from dag.run.sources.place import cache_directory

    result = fetch_sources(options)
    if options.json:
        body = result.as_json(cache_directory(options))
        show_document(envelope("sources", body, exit_code=1 if result.failures else 0))
    elif result.bundle:
        show([result.bundle])
    _tell_unpinned(result.sources)
    states = [item.status for item in result.files]
    states += [item.status for item in result.repositories]
    held = sum(item.size for item in result.files)
    held += sum(item.size for item in result.repositories)
    say(
        f"{cache_directory(options)}: {count(len(result.files), 'file')},"
        f" {count(len(result.repositories), 'repository')}"
        f" ({states.count('fetched')} fetched, {states.count('present')} present),"
        f" {size(held)}"
    )
    if failures := result.failures:
        say(f"{count(len(failures), 'failure')}:")
        for failure in failures:
            for line in failure.lines():
                tell(f"  {line}")
    return 1 if failures else 0


def _list(options: CacheOptions) -> int:
    from dag.run.sources.cache import CacheResult
    from dag.run.sources.command import list_sources

    found = list_sources(options)
    failures = CacheResult(sources=found.sources).failures
    if options.json:
        body = {"sources": [asdict(one) for one in found.states]}
        show_document(envelope("wanted sources", body, exit_code=1 if failures else 0))
    else:
        show("\t".join(astuple(state)) for state in found.states)
    _tell_unpinned(found.sources)
    for failure in failures:
        for line in failure.lines():
            say(line)
    return 1 if failures else 0


def _tell_unpinned(sources: Sources) -> None:
    from dag.core.sources.downloads import failures_of

    for one in failures_of(sources.unpinned):
        for line in one.lines():
            say(line)


def _prune(options: CacheOptions) -> int:
    from dag.report.fetching import size
    from dag.report.words import count
    from dag.run.sources.command import prune_cache
    from dag.run.sources.place import cache_directory

    removed = prune_cache(options)
    if options.json:
        show_document(envelope("removed sources", {"removed": [asdict(one) for one in removed]}))
    else:
        show(one.name for one in removed)
    verb = "would be removed" if options.dry_run else "removed"
    total = size(sum(one.size for one in removed))
    say(f"{cache_directory(options)}: {count(len(removed), 'name')} {verb}, {total}")
    return 0


def _fill(options: CacheOptions, reference: str) -> int:
    from dag.report.fetching import size
    from dag.report.words import count
    from dag.run.sources.command import fill_cache
    from dag.run.sources.place import cache_directory

    found = fill_cache(options, reference)
    filled, problems = found.filled, found.problems
    number = filled.repositories - len(problems)
    if options.json:
        document = {
            "bundle": filled.reference,
            "files": filled.files,
            "present": filled.present,
            "repositories": number,
            "problems": problems,
        }
        show_document(envelope("filled cache", document, exit_code=1 if problems else 0))
    else:
        show([filled.reference])
    say(
        f"{cache_directory(options)}: {count(filled.files, 'file')} ({size(filled.bytes)}) and"
        f" {count(number, 'repository')}, {filled.present} were present"
    )
    for problem in problems:
        say(problem)
    return 1 if problems else 0
