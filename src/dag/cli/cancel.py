"""`dag cancel`: end a build on Kubernetes from any machine."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.core.jobs.options import CancelOptions
from dag.errors import UsageError


@command_of(
    CancelOptions,
    ("End the build in this store, whoever has begun it.", "dag cancel --store pvc://packages"),
    ("End just this run.", "dag cancel --store pvc://packages 20260829-1412"),
)
def command(options: CancelOptions) -> None:
    """End a build on Kubernetes.

    It is the latest one in the store, or the one whose id is RUN or begins with that; `dag status`
    tells it. Whoever drives it is asked to end it, as with Ctrl-C; if nobody does any more, its Jobs
    are deleted. In the end nothing of it is left in the cluster, and what is proven stays in the
    store.
    """
    from dag.report.envelope import envelope
    from dag.report.terminal import say, show_document
    from dag.run.jobs.cancel import cancel_run
    from dag.run.signals import run_interruptibly

    if not options.is_on_cluster:
        raise UsageError(
            "dag cancel ends builds on Kubernetes, and the store is none of a cluster",
            hint="name a volume claim with --store pvc://CLAIM, or a bucket and --on kubernetes;"
            " a build on this machine ends with Ctrl-C",
        )
    if len(options.runs) > 1:
        raise UsageError("dag cancel ends one run", hint="name the id of one, or of none")
    run = run_interruptibly(cancel_run(options, "".join(options.runs)))
    if options.json:
        show_document(envelope("cancelled", {"run": run, "store": str(options.store)}))
    say(f"run {run} is cancelled; what was proven stays in {options.store}")
