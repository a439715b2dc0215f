"""`dag cache`: fetch the sources that definitions name, each verified, none twice."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dag.cli.options import command_of
from dag.core.sources.options import CacheOptions
from dag.errors import UsageError
from dag.report.terminal import say

if TYPE_CHECKING:
    from dag.io.sources.cache import Cache
    from dag.run.sources.cache import CacheResult, Sources


@command_of(
    CacheOptions,
    ("Fetch what brotli and what it needs are built from.", "dag cache brotli"),
    ("Show what would be fetched.", "dag cache --dry-run"),
    ("Remove what no definition names any more.", "dag cache prune"),
    ("Push the cache as an image.", "dag cache --bundle-repo registry.example.com/me/cache"),
)
def command(options: CacheOptions) -> int:
    """Fetch and verify the sources that the definitions name.

    `fetch` steps become files sha256:HEX and sha512:HEX, `git-checkout` steps bare repositories.
    Every one is verified. All are tried, and all failures are listed at the end; then the exit code
    is 1. With --bundle-repo the cache is pushed as an image, whose name goes to the standard output.

    `dag cache prune` removes what no definition names. With PKG, only what they need is kept.
    """
    from dag.io.sources.cache import Cache
    from dag.run.sources.cache import gather

    _check(options)
    if options.from_bundle is not None:
        return _take(Cache(Path(options.out)), options.from_bundle, options)
    sources = gather(options)
    cache = Cache(Path(options.out), make=not options.dry_run)
    if options.pruning:
        return _prune(cache, sources, options)
    if options.dry_run:
        return _list(cache, sources, options)
    return _fetch(cache, sources, options)


def _check(options: CacheOptions) -> None:
    from dag.core.image.references import parse_repository
    from dag.core.web import check_uri

    for mirror in options.mirrors:
        check_uri(mirror)
    if options.bundle_repo is not None:
        parse_repository(options.bundle_repo)
    if options.from_bundle is not None and (options.words or options.bundle_repo):
        raise UsageError("--from-bundle only fills the cache: it takes no packages, no push")


def _fetch(cache: Cache, sources: Sources, options: CacheOptions) -> int:
    from dag.core.units import quantity
    from dag.io.sources.transport import TransferLimits
    from dag.report.fetching import FetchProgress
    from dag.run.signals import run_interruptibly
    from dag.run.sources.cache import bring, push

    limits = TransferLimits(
        jobs=options.jobs, per_host=options.per_host, max_size=int(quantity(options.max_size))
    )
    with FetchProgress() as progress:
        work = bring(
            cache, sources, progress, limits=limits, mirrors=options.mirrors, verify=options.verify
        )
        result = run_interruptibly(work)
        if options.bundle_repo is not None:
            pushed = push(
                cache,
                result,
                options.bundle_repo,
                base=options.bundle_base,
                insecure=options.insecure_registry,
                progress=progress,
            )
            result.bundle = pushed.reference
            progress.note(f"cache {pushed.reference}: {pushed.bytes_uploaded:,} bytes sent")
    return _report(result, cache.directory, as_json=options.json)


def _report(result: CacheResult, directory: Path, *, as_json: bool) -> int:
    from dag.report.fetching import size
    from dag.report.words import count

    if as_json:
        click.echo(json.dumps(result.as_json(directory), indent=1))
    elif result.bundle:
        click.echo(result.bundle)
    for problem in result.sources.unpinned:
        say(f"{problem}")
    states = [item.status for item in result.files]
    states += [item.status for item in result.repositories]
    held = sum(item.size for item in result.files)
    held += sum(item.size for item in result.repositories)
    repositories = count(len(result.repositories), "repository")
    say(
        f"{directory}: {count(len(result.files), 'file')}, {repositories} ({states.count('fetched')} fetched, {states.count('present')} present), {size(held)}"
    )
    if problems := result.problems:
        say(f"{count(len(problems), 'failure')}:")
        for problem in problems:
            click.echo(f"  {problem}", err=True)
    return 1 if problems else 0


def _list(cache: Cache, sources: Sources, options: CacheOptions) -> int:
    from dag.run.sources.cache import CacheResult, list_states

    states = [astuple(state) for state in list_states(cache, sources)]
    if options.json:
        keys = ("state", "name", "uri", "places")
        click.echo(json.dumps([dict(zip(keys, state, strict=True)) for state in states], indent=1))
    else:
        for state in states:
            click.echo("\t".join(state))
    problems = CacheResult(sources=sources).problems
    for problem in (*sources.unpinned, *problems):
        say(f"{problem}")
    return 1 if problems else 0


def _prune(cache: Cache, sources: Sources, options: CacheOptions) -> int:
    from dag.report.fetching import size
    from dag.report.words import count
    from dag.run.sources.cache import prune

    removed = prune(cache, sources, dry_run=options.dry_run)
    if options.json:
        click.echo(json.dumps([asdict(one) for one in removed], indent=1))
    else:
        for one in removed:
            click.echo(one.name)
    verb = "would be removed" if options.dry_run else "removed"
    total = size(sum(one.size for one in removed))
    say(f"{cache.directory}: {count(len(removed), 'name')} {verb}, {total}")
    return 0


def _take(cache: Cache, reference: str, options: CacheOptions) -> int:
    from dag.io.sources.git.process import GitLimits
    from dag.report.fetching import FetchProgress, size
    from dag.report.words import count
    from dag.run.signals import run_interruptibly
    from dag.run.sources.cache import take

    with FetchProgress() as progress:
        work = take(
            cache,
            reference,
            insecure=options.insecure_registry,
            progress=progress,
            limits=GitLimits(),
        )
        filled, wrong = run_interruptibly(work)
    if options.json:
        document = {
            "bundle": filled.reference,
            "files": filled.files,
            "present": filled.present,
            "repositories": filled.repositories - len(wrong),
            "problems": wrong,
        }
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo(filled.reference)
    repositories = count(filled.repositories - len(wrong), "repository")
    say(
        f"{cache.directory}: {count(filled.files, 'file')} ({size(filled.bytes)}) and"
        f" {repositories}, {filled.present} were present"
    )
    for problem in wrong:
        say(problem)
    return 1 if wrong else 0
