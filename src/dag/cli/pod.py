"""`dag pod`: build in one Pod, follow it, end with the build's result."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dag.cli import options
from dag.cli.options import option, switch
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.core.manifests import Manifest
    from dag.io.kube import Kube
    from dag.report.terminal import Terminal
    from dag.run.pod import PodResult
    from dag.run.request import PodOptions, Request

SDK_IMAGE = "ghcr.io/wolfi-dev/sdk:latest"


@options.command(name="pod")
@click.argument("packages", nargs=-1, metavar="[PKG]...")
@options.directory
@options.arch
@options.pipeline_dirs
@switch("only", default=False, help="Build just these, not what they depend on.")
@option(
    "-r",
    "--repository",
    "repositories",
    multiple=True,
    metavar="URL|DIR",
    help="What this repository has need not be built; melange gets it too.",
)
@option("--keyring", "keyrings", multiple=True, metavar="FILE", help="Public key of a repository.")
@option("--bundle-repo", env="REPO", help="Repository for the bundle's image.")
@option("--project", env="PROJECT", help="GCP project, for gcr.io/PROJECT/dag.")
@option("--pull-repo", help="The bundle's repository as nodes know it, if by another name.")
@option("--bundle-base", help="Base image of the bundle; must have sh and cp.")
@option("--include", multiple=True, metavar="PATH", help="Bundle this although left out.")
@switch("insecure-registry", default=False, help="Speak plain http to the registry.")
@switch("push", default=True, help="Push the bundle; without, it is only digested.")
@switch("create", default=True, help="Create the Pod; without, its YAML is printed.")
@switch("watch", "-w", default=True, help="Follow the Pod; without, its name is printed.")
@option("-n", "--namespace", default="default", help="Namespace of the Pod.")
@option("--context", help="Context of the kubeconfig.")
@option("--kubeconfig", type=click.Path(dir_okay=False), help="Kubeconfig file.")
@option("--cpu", type=options.QuantityType(), default="1", help="CPUs the build asks for.")
@option("--ram", type=options.QuantityType(), default="2Gi", help="Memory the build asks for.")
@option("--disk", type=options.QuantityType(), default="1Gi", help="Disk the build asks for.")
@option("--service-account", default="default", help="Service account of the Pod.")
@option(
    "--pending-timeout",
    type=options.DurationType(),
    default="5m",
    help="How long nothing may run before the build starts.",
)
@option("--timeout", type=options.DurationType(), help="How long the Pod may take in all.")
@option("--out", type=click.Path(file_okay=False), help="Bring the built packages back here.")
@option("--sdk-image", default=SDK_IMAGE, help="Image that builds: make, melange, bubblewrap.")
@option("--cache-bundle", help="Image by digest with the sources, as `dag cache` pushes it.")
@switch("keep-going", default=False, help="Go on after a failure (make -k).")
@option("--make-var", "make_vars", multiple=True, metavar="NAME=VALUE", help="Assignment for make.")
@option("--target-template", help="How a package becomes a make target, like package/{name}.")
@option(
    "--isolation",
    type=click.Choice(["privileged", "userns"]),
    default="privileged",
    help="How the build is kept from its node.",
)
@option("--bucket", help="Upload packages here.")
@option("--src-bucket", help="Download packages from here first.")
@switch("secret-key", default=False, help="Sign with the key that the CSI driver mounts.")
@options.verbose
def command(**given: Any) -> int:  # noqa: ANN401
    """Build PKG and what they depend on, or everything, in one Pod.

    The directory is bundled into an image, the Pod unpacks it and runs make; its log is followed,
    and the command ends with the build's result: 0 built, 1 the build failed, 2 a wrong request,
    3 the cluster, registry or network failed, 130 interrupted.
    """
    from dag.report.terminal import Terminal
    from dag.run.request import PodOptions

    chosen = PodOptions(**given)
    _refuse_what_is_not_there_yet(chosen)
    return _pod(chosen, Terminal(verbosity=chosen.verbose))


def _refuse_what_is_not_there_yet(chosen: PodOptions) -> None:
    for flag, value in (
        ("--bucket", chosen.bucket),
        ("--src-bucket", chosen.src_bucket),
        ("--secret-key", chosen.secret_key),
        ("--isolation userns", chosen.isolation == "userns"),
    ):
        if value:
            raise UsageError(f"{flag} is not there yet")
    if chosen.create and not chosen.push:
        raise UsageError(
            "--push=false needs --create=false: nodes could not pull a bundle that nobody pushed"
        )
    if chosen.out and not chosen.watch:
        raise UsageError("--out needs --watch: somebody has to fetch the packages")


def _pod(chosen: PodOptions, terminal: Terminal) -> int:
    from dag.report.manifest import to_yaml
    from dag.run.request import prepare
    from dag.run.signals import run_interruptibly

    request = prepare(chosen, terminal)
    if chosen.create:
        run_interruptibly(_check(chosen, request, terminal))
    if chosen.push:
        request = request.push(terminal)
    manifest = request.manifest()
    if not chosen.create:
        click.echo(to_yaml(manifest), nl=False)
        return 0
    return run_interruptibly(_create(chosen, manifest, terminal), lambda: terminal.leaving)


async def _check(chosen: PodOptions, request: Request, terminal: Terminal) -> None:
    from dag.run.pod import check_pod

    async with _cluster(chosen, terminal) as kube:
        await check_pod(kube, request.manifest(), follow=chosen.watch, out=bool(chosen.out))


async def _create(chosen: PodOptions, manifest: Manifest, terminal: Terminal) -> int:
    from dag.run.pod import Watching, create_pod, run_pod

    async with _cluster(chosen, terminal) as kube:
        if not chosen.watch:
            created = await create_pod(kube, manifest)
            click.echo(created["metadata"]["name"])
            return 0
        began = time.monotonic()
        watching = Watching(
            pending_timeout=chosen.pending_timeout, out=Path(chosen.out) if chosen.out else None
        )
        result = await run_pod(kube, manifest, watching, terminal)
        _report(result, chosen.namespace, time.monotonic() - began, terminal)
        return result.ending.exit_code


@asynccontextmanager
async def _cluster(chosen: PodOptions, terminal: Terminal) -> AsyncIterator[Kube]:
    from dag.io.kube import Kube
    from dag.io.kubeconfig import connect

    kube = Kube(connect(chosen.kubeconfig, chosen.context), terminal.say)
    try:
        yield kube
    finally:
        await kube.close()


def _report(result: PodResult, namespace: str, seconds: float, terminal: Terminal) -> None:
    ending = result.ending
    if ending.exit_code == 0:
        terminal.say(f"done after {_minutes(seconds)}")
        return
    target = f" (target {result.failed_target})" if result.failed_target else ""
    terminal.say(f"{ending.message}{target}")
    if ending.hint:
        terminal.say(f"hint: {ending.hint}")
    if result.tail:
        terminal.say(f"the last lines of the log of container {ending.container}:")
        for line in result.tail:
            click.echo(f"    {line}", err=True)
    if result.kept:
        terminal.say(
            f"the whole log: kubectl logs -n {namespace} {result.name} -c {ending.container}"
        )


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
