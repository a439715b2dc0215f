"""`dag setup`: have a cluster that `dag` can build on."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from dag.cli.examples import ExampleGroup
from dag.cli.options import command_of
from dag.core.setup.options import ExistingOptions, GkeOptions, KindOptions, SetupOptions
from dag.core.setup.signeroptions import SignerSetupOptions
from dag.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from dag.core.setup.steps import SetupPlan


@click.group(
    name="setup",
    cls=ExampleGroup,
    examples=(
        ("Make a cluster on this machine.", "dag setup kind"),
        ("See what would be done to one that is there.", "dag setup cluster --print"),
    ),
    invoke_without_command=True,
)
@click.pass_context
def command(context: click.Context) -> None:
    """Make a cluster ready for builds.

    It goes step by step. Each step looks first whether it is done, and looks again after it ran: run
    it as often as you like, and again after it broke off. --print shows the commands as a shell
    script and runs nothing. --undo looks at everything, lists what `dag setup` has made, asks,
    and takes that away, and nothing that was there before.
    """
    if context.invoked_subcommand is None:
        from dag.report.terminal import show_document

        show_document(f"{context.get_help()}\n")


@command_of(
    GkeOptions,
    (
        "Print what would be done, as a shell script.",
        "dag setup gke --project my-project --zone europe-west4-a --print",
    ),
    (
        "Make everything, with the key that packages are signed with.",
        "dag setup gke --zone europe-west4-a --signing-key melange.rsa",
    ),
    section="setup",
)
def gke(options: GkeOptions) -> None:
    """Make a cluster on Google Kubernetes Engine, from nothing.

    It gets a registry, identities with the least rights, and, if asked for, the signing key.
    """
    from dag.run.setup.plans import plan_gke

    _carry_out(plan_gke(options), options)


@command_of(
    KindOptions,
    ("Make a cluster and a registry.", "dag setup kind"),
    ("Take both away.", "dag setup kind --undo"),
    section="setup",
)
def kind(options: KindOptions) -> None:
    """Make a cluster in containers on this machine, from nothing.

    It is made with kind, and has a registry beside it that its nodes can pull from.
    """
    from dag.run.setup.plans import plan_kind

    _carry_out(plan_kind(options), options)


@command_of(
    ExistingOptions,
    ("Prepare a namespace of a cluster.", "dag setup cluster --namespace builds"),
    (
        "Tie the builds to an identity of AWS.",
        "dag setup cluster --annotation eks.amazonaws.com/role-arn=arn:aws:iam::1:role/dag",
    ),
    section="setup",
)
def cluster(options: ExistingOptions) -> None:
    """Make a cluster ready that is there, whoever runs it.

    It gets what it lacks: namespace, service account, permissions and, if asked for, the signing key.
    """
    from dag.run.setup.plans import plan_existing

    _carry_out(plan_existing(options), options)


@command_of(
    SignerSetupOptions,
    (
        "Make the signer, which trusts builds that this machine drives.",
        "dag setup signer --store s3://packages/wolfi --signing-key my.rsa --agent-image IMAGE",
    ),
    ("See what would be done.", "dag setup signer … --print"),
    section="setup",
)
def signer(options: SignerSetupOptions) -> None:
    """Make a signer that has the key where nobody builds.

    It is in a namespace of its own. `dag build --sign apart` asks it to publish, and it signs only what
    such a build has attested: whoever can write the store alone gets nothing signed.
    """
    from dag.run.setup.plans import plan_signer

    _carry_out(plan_signer(options), options)


for one in (gke, kind, cluster, signer):
    command.add_command(one)


def _carry_out(plan: SetupPlan, options: SetupOptions) -> None:
    from dag.report.setup import to_json, to_script
    from dag.report.terminal import Terminal, show_document, tell
    from dag.run.setup.steps import Setup
    from dag.run.signals import run_interruptibly

    if options.print:
        given = (word for word in sys.argv[1:] if word not in ("--print", "--json"))
        script = to_script(plan, shlex.join(["dag", *given]), undo=options.undo)
        show_document(to_json(plan, script) if options.json else script)
        return
    terminal = Terminal(verbosity=options.verbose)
    setup = Setup(plan, terminal)
    if not options.undo:
        run_interruptibly(setup.do())
        for words in plan.next_words:
            terminal.say(words)
        terminal.say(f"ready: {plan.next_command}")
        return
    if not (options.yes or (sys.stdin.isatty() and sys.stderr.isatty())):
        raise UsageError(
            "--undo asks before it deletes, and there is no terminal on which it could ask",
            hint="--yes answers the question; --undo --print shows what would be done",
        )
    removals = run_interruptibly(setup.look())
    if not removals:
        terminal.say("there is nothing to take away")
        return
    terminal.say("this is ours and goes:")
    for removal in removals:
        tell(f"  {removal.what}")
    if not (options.yes or click.confirm("Delete all of this?", err=True)):
        raise Interrupted("nothing was deleted")
    run_interruptibly(setup.remove(removals))
