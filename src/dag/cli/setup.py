"""`dag setup`: have a cluster that `dag pod` can build on."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dag.cli import options
from dag.cli.options import option, switch
from dag.core.pod.manifest import CSI_DRIVER
from dag.core.setup.cluster import BINFMT_IMAGE, GITHUB, GKE_DRIVER
from dag.core.setup.kind import REGISTRY_IMAGE
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.core.setup.cluster import ClusterSettings
    from dag.core.setup.steps import SetupPlan

F = TypeVar("F", bound=Callable[..., Any])

_TYPED = click.core.ParameterSource.COMMANDLINE
_ANNOTATION = re.compile(r"([A-Za-z0-9./_-]+)=(.+)")


@click.group(name="setup", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Make a cluster ready for `dag pod`, step by step.

    Each step looks first whether it is done, and looks again after it ran: run it as often as you
    like, and again after it broke off. --print shows the commands as a shell script and runs
    nothing; --undo takes away what was made, and nothing that was there before.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _subcommand(name: str, short: str) -> Callable[[Callable[..., Any]], click.Command]:
    return command.command(name=name, short_help=short, cls=options.Command, section="setup")


def _shared(function: F) -> F:
    """Add the flags of all three, the first one last."""
    for decorate in (
        options.verbose,
        switch("undo", default=False, help="Take away what was made."),
        switch("print", default=False, help="Print what would run, as a script; run nothing."),
        option("--kubeconfig", type=click.Path(dir_okay=False), help="Kubeconfig file."),
        option("--bundle-base", help="An image with a shell, for pods that try things out."),
        option("--binfmt-image", default=BINFMT_IMAGE, help="Registers the emulators."),
        switch("binfmt", default=False, help="Emulate other architectures on every node."),
        option("--group", "groups", multiple=True, help="These people may run `dag pod`, too."),
        option("--user", "users", multiple=True, metavar="NAME", help="May run `dag pod` there."),
        option(
            "--service-account",
            type=options.NameType(),
            default="default",
            help="Service account of the pods.",
        ),
        option(
            "-n",
            "--namespace",
            type=options.NameType(),
            default="default",
            help="Namespace of the builds.",
        ),
        options.directory,
    ):
        function = decorate(function)
    return function


def _secret(function: F) -> F:
    for decorate in (
        option(
            "--pending-timeout",
            type=options.DurationType(),
            default="5m",
            help="How long the pod that tries the key may take.",
        ),
        switch("arm", default=False, help="Also for nodes of arm64."),
        option("--csi-driver", default=CSI_DRIVER, help="Mounts the signing key into pods."),
        switch("secret-key", default=False, help="Pods sign with the key in Secret Manager."),
    ):
        function = decorate(function)
    return function


@_subcommand("gke", "on Google Kubernetes Engine, from nothing")
@option("--project", env="PROJECT", help="GCP project.  [default: the one gcloud is set to]")
@option("--zone", help="Zone of the cluster.")
@option("--region", help="Region of the cluster, in place of a zone.")
@option("--cluster", default="dag", help="Name of the cluster.")
@option("--max-cpu", type=click.IntRange(1), default=64, help="CPUs that nodes may have in all.")
@option("--max-memory", type=click.IntRange(1), default=256, help="GB that nodes may have in all.")
@option("--arm-machine", default="c4a-standard-4", help="Machine type of the arm node pool.")
@option("--bucket", help="Bucket that packages are uploaded to.")
@option("--src-bucket", help="Bucket that packages are downloaded from.")
@click.option(
    "--signing-key",
    type=click.Path(dir_okay=False),
    help="Private key to keep in Secret Manager, named here only; implies --secret-key.",
)
@option("--manifests", default=GITHUB, help="Where the CSI driver's manifests are fetched from.")
@_secret
@_shared
def gke(**given: Any) -> None:  # noqa: ANN401
    """Make a cluster on Google Kubernetes Engine, with registry, identities and signing key."""
    from dag.core.setup.gke import GkeSettings, gke_plan

    if (given["zone"] is None) == (given["region"] is None):
        raise UsageError(
            "a cluster is in one place", hint="give --zone, like europe-west4-a, or --region"
        )
    place = f"--zone={given['zone']}" if given["zone"] else f"--region={given['region']}"
    signing_key = _private_key(click.get_current_context(), given["signing_key"])
    project = _project(given["project"])
    given["secret_key"] = given["secret_key"] or bool(signing_key)
    settings = GkeSettings(
        project=project,
        location=place,
        signing_key=signing_key,
        inside=_inside(given, project=project, manifests=given["manifests"].rstrip("/")),
        **_taken(given, "cluster max_cpu max_memory arm_machine bucket src_bucket"),
    )
    _carry_out(gke_plan(settings), given)


@_subcommand("kind", "in containers on this machine, from nothing")
@option("--cluster", default="dag", help="Name of the cluster.")
@option("--registry", default="kind-registry", help="Name of the registry's container.")
@option("--port", type=click.IntRange(1, 65535), default=5001, help="Of the registry here.")
@option("--registry-image", default=REGISTRY_IMAGE, help="Image of the registry.")
@_shared
def kind(**given: Any) -> None:  # noqa: ANN401
    """Make a cluster in containers on this machine, with kind, and a registry beside it."""
    from dag.core.setup.kind import KindSettings, kind_plan

    taken = _taken(given, "cluster registry port registry_image")
    _carry_out(kind_plan(KindSettings(inside=_inside(given), **taken)), given)


@_subcommand("cluster", "one that is there, whoever runs it")
@option("--context", help="Context of the kubeconfig.")
@option("--project", env="PROJECT", help="GCP project whose Secret Manager has the signing key.")
@option(
    "--annotation",
    "annotations",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of the service account: ties it to an identity of the cloud.",
)
@_secret
@_shared
def cluster(**given: Any) -> None:  # noqa: ANN401
    """Make a cluster that is there ready: namespace, service account, permissions, signing key."""
    from dag.core.setup.cluster import cluster_plan

    annotations = dict(map(_annotation, given["annotations"]))
    settings = _inside(given, project=given["project"], annotations=annotations)
    _carry_out(replace(cluster_plan(settings), context=given["context"]), given)


def _inside(given: Mapping[str, Any], **more: Any) -> ClusterSettings:  # noqa: ANN401
    from dag.core.setup.cluster import ClusterSettings
    from dag.io.image.bundle import DEFAULT_BASE

    taken = _taken(given, "namespace service_account users groups binfmt binfmt_image")
    names = ("secret_key", "csi_driver", "arm", "pending_timeout")
    secret = {name: given[name] for name in names if name in given}
    if secret.get("csi_driver") == GKE_DRIVER and more.get("manifests"):
        more["manifests"] = None  # it comes with the cluster
    busybox = given["bundle_base"] or DEFAULT_BASE
    return ClusterSettings(busybox=busybox, **taken, **secret, **more)


def _taken(given: Mapping[str, Any], names: str) -> dict[str, Any]:
    return {name: given[name] for name in names.split()}


def _carry_out(plan: SetupPlan, given: Mapping[str, Any]) -> None:
    from dag.report.setup import to_script
    from dag.report.terminal import Terminal
    from dag.run.setup.steps import Setup
    from dag.run.signals import run_interruptibly

    plan = replace(plan, kubeconfig=given["kubeconfig"])
    if given["print"]:
        typed = shlex.join(["dag", *(word for word in sys.argv[1:] if word != "--print")])
        click.echo(to_script(plan, typed, undo=given["undo"]), nl=False)
        return
    terminal = Terminal(verbosity=given["verbose"])
    setup = Setup(plan, terminal)
    if given["undo"]:
        run_interruptibly(setup.undo())
        return
    run_interruptibly(setup.do())
    flags = [
        f"--{name}" if value == "true" else f"--{name}={value}"
        for name, value in plan.flags.items()
    ]
    terminal.say(f"ready: {shlex.join(['dag', 'pod', *flags])}")


def _project(given: str | None) -> str:
    from dag.io.gcloud import current_project

    project = given or current_project()
    if project is None:
        raise UsageError("no project", hint="give --project, or `gcloud config set project`")
    return project


def _private_key(context: click.Context, path: str | None) -> str | None:
    # `signing-key` in dag.toml is for `dag build`: a key leaves this machine by its owner's word only.
    if path is None or context.get_parameter_source("signing_key") is not _TYPED:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if b"PRIVATE KEY-----" not in content:
        raise UsageError(f"{path} is no private key", hint="`melange keygen FILE` makes one")
    return path


def _annotation(text: str) -> tuple[str, str]:
    found = _ANNOTATION.fullmatch(text)
    if found is None:
        raise UsageError(f"--annotation {text!r} is not KEY=VALUE")
    return found[1], found[2]
