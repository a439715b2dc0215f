"""`dag pod`: build in one Pod, follow it, end with the build's result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dag.cli import options
from dag.cli.podflags import check_flags, pod_flags

if TYPE_CHECKING:
    from dag.core.pod.events import PodResult
    from dag.io.kube.api import Kube
    from dag.report.terminal import Terminal
    from dag.run.pod.request import PodOptions, PodRequest
    from dag.run.pod.several import PodGroup


@options.command(name="pod")
@pod_flags
def command(**given: Any) -> int:  # noqa: ANN401
    """Build PKG and what they depend on, or everything, in one Pod.

    The directory is bundled into an image, the Pod unpacks it and runs make; its log is followed,
    and the command ends with the build's result: 0 built, 1 the build failed, 2 a wrong request,
    3 the cluster, registry or network failed, 130 interrupted.
    """
    from dag.report.terminal import Terminal
    from dag.run.pod.request import PodOptions

    chosen = PodOptions(**given)
    check_flags(chosen)
    return _pod(chosen, Terminal(verbosity=chosen.verbose))


def _pod(chosen: PodOptions, terminal: Terminal) -> int:
    from dag.run.pod.request import prepare

    request = prepare(chosen, terminal)
    if not request.pods:
        return 0
    if not chosen.create:
        from dag.report.manifest import to_yaml

        if chosen.push:
            request = request.push(terminal)
        click.echo("---\n".join(map(to_yaml, request.manifests())), nl=False)
        return 0
    from dag.run.pod.out import prepare_directory
    from dag.run.signals import run_interruptibly

    if chosen.out:
        prepare_directory(Path(chosen.out), Path(chosen.directory))
    run_interruptibly(_preflight(chosen, request, terminal))
    request = request.push(terminal)
    from dag.run.pod.several import FollowOptions, PodGroup

    following = FollowOptions(
        pending_timeout=chosen.pending_timeout, out=Path(chosen.out) if chosen.out else None
    )
    pods = PodGroup(request.manifests(), following, terminal)
    return run_interruptibly(_create(chosen, pods, terminal), pods.leftovers)


async def _preflight(chosen: PodOptions, request: PodRequest, terminal: Terminal) -> None:
    from dag.run.pod.preflight import check_pod

    out = bool(chosen.out)
    async with _cluster(chosen, terminal) as kube:
        for manifest in request.manifests():
            await check_pod(kube, manifest, follow=chosen.watch, out=out, warn=terminal.say)


async def _create(chosen: PodOptions, pods: PodGroup, terminal: Terminal) -> int:
    from dag.run.pod.create import create_pod
    from dag.run.pod.several import exit_code_of

    async with _cluster(chosen, terminal) as kube:
        if not chosen.watch:
            for manifest in pods.manifests:
                created = await create_pod(kube, manifest)
                click.echo(created["metadata"]["name"])
            return 0
        results = await pods.run(kube)
        for result in results:
            _report(result, chosen.namespace, terminal)
        return exit_code_of(results)


@asynccontextmanager
async def _cluster(chosen: PodOptions, terminal: Terminal) -> AsyncIterator[Kube]:
    from dag.io.kube.api import Kube
    from dag.io.kube.kubeconfig import connect

    kube = Kube(connect(chosen.kubeconfig, chosen.context), terminal.say)
    try:
        yield kube
    finally:
        await kube.close()


def _report(result: PodResult, namespace: str, terminal: Terminal) -> None:
    ending = result.ending
    terminal = terminal.about(result.label)
    if ending.exit_code == 0:
        terminal.say(f"done after {_minutes(result.seconds)}")
        if ending.hint:
            terminal.say(ending.hint)
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
