"""`dag pod`: build in one Pod, follow it, end with the build's result."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dag.cli import options
from dag.cli.podflags import pod_flags
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.core.manifests import Manifest
    from dag.io.kube import Kube
    from dag.report.terminal import Terminal
    from dag.run.pod import PodResult
    from dag.run.request import PodOptions, Request


@options.command(name="pod")
@pod_flags
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
    return run_interruptibly(_create(chosen, manifest, terminal))


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
        terminal.say("the last lines of the build's log:")
        for line in result.tail:
            click.echo(f"    {line}", err=True)
    terminal.say(f"the whole log: kubectl logs -n {namespace} {result.name} -c build")


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
