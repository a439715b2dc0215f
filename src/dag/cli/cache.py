"""`dag cache`: fetch the sources that definitions name, each verified, none twice."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dag.cli import options
from dag.cli.options import option, switch
from dag.errors import UsageError
from dag.report.terminal import say

if TYPE_CHECKING:
    from dag.io.sources.cache import Cache
    from dag.run.sources.cache import CacheOptions, CacheResult, Sources

PRUNE = "prune"


@options.command(name="cache", short_help="Fetch and verify what definitions build from.")
@click.argument("packages", nargs=-1, metavar="[prune] [PKG]...")
@options.directory
@options.arch
@options.pipeline_dirs
@options.build_options
@option(
    "-o", "--out", own="cache", type=click.Path(file_okay=False), default="cache", help="The cache."
)
@option("--jobs", type=click.IntRange(1, 512), default=64, help="Downloads at once.")
@option("--per-host", type=click.IntRange(1, 512), default=32, help="Of them from one host.")
@option("--mirror", "mirrors", multiple=True, metavar="URL", help="Ask URL/sha256:HEX first.")
@option("--max-size", type=options.QuantityType(), default="8Gi", help="Largest file taken.")
@switch("git", default=True, help="Also cache what git-checkout steps clone.")
@switch("verify", default=False, help="Read every file again, also where nothing has changed.")
@switch("dry-run", default=False, help="Only list what is there, what is missing, what would go.")
@option("--json/--no-json", "as_json", default=False, help="One JSON document on stdout.")
# Neither the environment nor dag.toml: a push has to be asked for.
@click.option("--bundle-repo", help="Push the cache as an image to this repository.")
@option("--bundle-base", help="Base image of that; must have sh and cp.")
@switch("insecure-registry", default=False, help="Speak plain http to the registry.")
@option("--from-bundle", metavar="REF", help="Only fill the cache from such an image.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:  # noqa: ANN401
    """Fetch what PKG and their closure, or all definitions, are built from.

    `fetch` steps become files sha256:HEX and sha512:HEX, `git-checkout` steps bare repositories.
    Every one is verified; all are tried, all failures listed at the end, and then the exit code
    is 1. With --bundle-repo the cache is pushed as an image, whose name goes to stdout.

    `dag cache prune` removes what no definition (of the closure of PKG, if given) names.
    """
    from dag.io.sources.cache import Cache
    from dag.run.sources.cache import CacheOptions, gather

    source = ctx.get_parameter_source("bundle_repo")
    if source is not click.core.ParameterSource.COMMANDLINE:
        given["bundle_repo"] = None
    chosen = CacheOptions(**given)
    _check(chosen)
    if chosen.from_bundle is not None:
        return _take(Cache(Path(chosen.out)), chosen.from_bundle, chosen)
    pruning = chosen.packages[:1] == (PRUNE,)
    sources = gather(
        Path(chosen.directory),
        chosen.packages[1:] if pruning else chosen.packages,
        arch=chosen.arch,
        pipeline_dirs=[Path(path) for path in chosen.pipeline_dirs],
        build_options=chosen.build_options,
        git=chosen.git or pruning,
    )
    cache = Cache(Path(chosen.out), make=not chosen.dry_run)
    if pruning:
        return _prune(cache, sources, chosen)
    if chosen.dry_run:
        return _list(cache, sources, chosen)
    return _fetch(cache, sources, chosen)


def _check(chosen: CacheOptions) -> None:
    from dag.core.image.references import parse_repository
    from dag.core.web import check_uri

    for mirror in chosen.mirrors:
        check_uri(mirror)
    if chosen.bundle_repo is not None:
        parse_repository(chosen.bundle_repo)
    if chosen.from_bundle is not None and (chosen.packages or chosen.bundle_repo):
        raise UsageError("--from-bundle only fills the cache: it takes no packages, no push")


def _fetch(cache: Cache, sources: Sources, chosen: CacheOptions) -> int:
    from dag.core.units import quantity
    from dag.io.sources.transport import TransferLimits
    from dag.report.fetching import FetchProgress
    from dag.run.signals import run_interruptibly
    from dag.run.sources.cache import bring, push

    limits = TransferLimits(
        jobs=chosen.jobs, per_host=chosen.per_host, max_size=int(quantity(chosen.max_size))
    )
    with FetchProgress() as progress:
        work = bring(
            cache, sources, progress, limits=limits, mirrors=chosen.mirrors, verify=chosen.verify
        )
        result = run_interruptibly(work)
        if chosen.bundle_repo is not None:
            pushed = push(
                cache,
                result,
                chosen.bundle_repo,
                base=chosen.bundle_base,
                insecure=chosen.insecure_registry,
                progress=progress,
            )
            result.bundle = pushed.reference
            progress.note(f"cache {pushed.reference}: {pushed.bytes_uploaded:,} bytes sent")
    return _report(result, cache.directory, as_json=chosen.as_json)


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


def _list(cache: Cache, sources: Sources, chosen: CacheOptions) -> int:
    from dag.run.sources.cache import CacheResult, list_states

    states = [astuple(state) for state in list_states(cache, sources)]
    if chosen.as_json:
        keys = ("state", "name", "uri", "places")
        click.echo(json.dumps([dict(zip(keys, state, strict=True)) for state in states], indent=1))
    else:
        for state in states:
            click.echo("\t".join(state))
    problems = CacheResult(sources=sources).problems
    for problem in (*sources.unpinned, *problems):
        say(f"{problem}")
    return 1 if problems else 0


def _prune(cache: Cache, sources: Sources, chosen: CacheOptions) -> int:
    from dag.report.fetching import size
    from dag.report.words import count
    from dag.run.sources.cache import prune

    removed = prune(cache, sources, dry_run=chosen.dry_run)
    if chosen.as_json:
        click.echo(json.dumps([asdict(one) for one in removed], indent=1))
    else:
        for one in removed:
            click.echo(one.name)
    verb = "would be removed" if chosen.dry_run else "removed"
    total = size(sum(one.size for one in removed))
    say(f"{cache.directory}: {count(len(removed), 'name')} {verb}, {total}")
    return 0


def _take(cache: Cache, reference: str, chosen: CacheOptions) -> int:
    from dag.io.sources.git.process import GitLimits
    from dag.report.fetching import FetchProgress, size
    from dag.report.words import count
    from dag.run.signals import run_interruptibly
    from dag.run.sources.cache import take

    with FetchProgress() as progress:
        work = take(
            cache,
            reference,
            insecure=chosen.insecure_registry,
            progress=progress,
            limits=GitLimits(),
        )
        filled, wrong = run_interruptibly(work)
    if chosen.as_json:
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
