"""`dag publish`: sign and publish what `dag build` has proven and not published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.core.jobs.publishing import PublishOptions

if TYPE_CHECKING:
    from dag.core.build.publishing import Publishing


@command_of(
    PublishOptions,
    ("Publish what is finished of this directory.", "dag publish"),
    (
        "Publish what one run has proven, from where the key is.",
        "dag publish --run 20260829-1412 --store pvc://packages --signing-key my.rsa",
    ),
    ("See what would be published.", "dag publish --dry-run"),
)
def command(options: PublishOptions) -> int:
    """Sign and publish what a store has finished.

    That is what `dag build` would find finished now, of PKG and what they need or of everything; or
    with `--run` what a run has proven. Nothing is built. What is published already stays as it is, so
    this can be run again at any time. The exit code is 0 if everything that is finished is published, 1
    if PKG or what they need is not all finished, and 3 if packages of a finished unit are damaged or
    gone; the others are published all the same.
    """
    from dag.core.build.result import exit_code_of
    from dag.report.envelope import envelope
    from dag.report.publishing import publishing_lines
    from dag.report.terminal import show, show_document
    from dag.run.build.stores import store_name

    options.check()
    each = _publish(options)
    wants_all = bool(options.packages) or options.run is not None
    code = exit_code_of({one.exit_code(wants_all=wants_all) for one in each})
    if options.json:
        body = {
            "store": store_name(options),
            "dry_run": options.dry_run,
            "archs": [one.to_json() for one in each],
        }
        show_document(envelope("published", body, exit_code=code))
        return code
    for one in each:
        label = f"{one.arch}: " if len(each) > 1 else ""
        for line in publishing_lines(one, dry_run=options.dry_run, verbose=options.verbose):
            show([f"{label}{line}"])
    return code


def _publish(options: PublishOptions) -> list[Publishing]:
    from dag.core.jobs.history import RunQuery
    from dag.report.terminal import Terminal, say

    if options.is_on_cluster:
        from dag.run.jobs.publish import publish_on_cluster

        return publish_on_cluster(options, Terminal(verbosity=options.verbose))
    from dag.run.build.publish import publish_here, publish_run_here

    if options.run is None:
        return publish_here(options.of_build(), say, dry_run=options.dry_run)
    from dag.run.jobs.history import opened_runs

    with opened_runs(options, RunQuery(run=options.run)) as runs:
        return publish_run_here(options.of_build(), runs, options.run, say, dry_run=options.dry_run)
