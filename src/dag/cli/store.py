"""`dag store`: look after the place of finished packages."""

from __future__ import annotations

import click

from dag.cli.examples import ExampleGroup
from dag.cli.options import command_of
from dag.core.build.storeoptions import PruneStoreOptions, VerifyStoreOptions
from dag.report.terminal import say, show, show_document


@click.group(
    name="store",
    cls=ExampleGroup,
    examples=(
        ("Compare all that is in the store with its hashes.", "dag store verify"),
        ("Remove what nobody needs any more.", "dag store prune"),
    ),
    invoke_without_command=True,
)
@click.pass_context
def command(context: click.Context) -> None:
    """Verify the store of `dag build`, or remove what nobody needs.

    A build may run meanwhile.
    """
    if context.invoked_subcommand is None:
        show_document(f"{context.get_help()}\n")


@command_of(
    VerifyStoreOptions,
    ("Verify the store of this directory.", "dag store verify"),
    ("Remove what is damaged in another store.", "dag store verify --store /srv/built --repair"),
    section="store",
)
def verify(options: VerifyStoreOptions) -> int:
    """Compare all that is in the store with its hashes.

    These are the packages, the records of what was built, and what is published.

    The exit code is 0 if all is well, and 1 if anything is not.
    """
    from dag.report.envelope import envelope
    from dag.report.words import count
    from dag.run.build.stores import store_place
    from dag.run.store.upkeep import verify_store

    found = verify_store(store_place(options, say), repair=options.repair)
    code = 1 if found.problems else 0
    if options.json:
        body = {
            "blobs": found.blobs,
            "records": found.records,
            "published": found.published,
            "problems": [{"path": one.address, "what": one.what} for one in found.problems],
        }
        show_document(envelope("verified store", body, exit_code=code))
        return code
    numbers = (
        count(found.blobs, "blob"),
        count(found.records, "record"),
        count(found.published, "published file"),
    )
    wrong = count(len(found.problems), "problem") if found.problems else "all as it should be"
    problems = (f"{problem.address} {problem.what}" for problem in found.problems)
    show([*problems, f"{', '.join(numbers)}: {wrong}"])
    return code


@command_of(
    PruneStoreOptions,
    ("Remove what nobody needs.", "dag store prune"),
    ("See how much that would be.", "dag store prune --dry-run"),
    ("Also forget packages whose definitions were removed.", "dag store prune --gone"),
    section="store",
)
def prune(options: PruneStoreOptions) -> None:
    """Remove what nobody needs any more.

    These are packages that no record names and no build has used for seven days.

    They are what is left of builds that were killed, and of records that were removed. Of builds
    that ended more than thirty days ago, except for the latest ten, what `dag status` and `dag logs`
    tell goes, too; the log of the build that made a package stays. So do requests to a signer that were
    answered more than seven days ago, or not at all in thirty.

    With `--gone` the store forgets the packages that no definition of the directory defines any more:
    their files go at once and the index does not list them. Nobody may build meanwhile.
    """
    from dag.report.envelope import envelope
    from dag.report.words import count
    from dag.run.build.gone import forget_gone
    from dag.run.build.stores import store_place
    from dag.run.store.upkeep import prune_store

    place = store_place(options, say)
    gone = forget_gone(options, place, say) if options.gone else ()
    done = prune_store(place, dry_run=options.dry_run)
    if options.json:
        body = {
            "blobs": done.blobs,
            "bytes": done.size,
            "runs": done.runs,
            "requests": done.requests,
            "gone": gone,
            "dry_run": options.dry_run,
        }
        show_document(envelope("pruned store", body))
        return
    would = "would be " if options.dry_run else ""
    numbers = f"{count(done.blobs, 'blob')} ({done.size:,} bytes) and {count(done.runs, 'run')}"
    if done.requests:
        numbers += f" and {count(done.requests, 'file')} of requests to a signer"
    show([*(f"{name} {would}forgotten" for name in gone), f"{numbers} {would}removed"])


command.add_command(verify)
command.add_command(prune)
