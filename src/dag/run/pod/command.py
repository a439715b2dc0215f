"""`dag pod`: from its options to manifests, or to pods that are created and followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dag.core.kube.objects import KubeObject
from dag.core.pod.options import PodOptions
from dag.report.terminal import Terminal
from dag.run.pod.request import PodRequest, prepare

if TYPE_CHECKING:
    from dag.core.pod.events import PodResult
    from dag.run.pod.several import PodGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOutcome:
    """The end of the pods of one command."""

    results: tuple[PodResult, ...] = ()
    """One for each pod that was followed to its end."""
    namespace: str
    """Where the pods of the command are, or were."""
    exit_code: int = 0


def manifests(options: PodOptions, terminal: Terminal) -> list[KubeObject]:
    """Return the Pods as they would be created; the bundle is pushed if that is asked for.

    Raises:
        UsageError: something that was asked for is wrong.
        RegistryError: a registry cannot be reached or refuses.

    """
    options.check()
    request = prepare(options, terminal)
    if options.bucket or options.src_bucket:
        terminal.say(
            f"no cluster is asked whether service account {options.service_account} has a role: the"
            " token for that is not in what is printed"
        )
    if request.pods and options.push:
        request = request.push(terminal)
    return request.manifests()


def build_in_pods(
    options: PodOptions, terminal: Terminal, created: Callable[[str], None]
) -> PodOutcome:
    """Push the bundle, create a pod for each architecture, and follow them to their ends.

    Without `options.watch` nothing is followed, and `created` is called with each pod's name.

    Raises:
        UsageError: something that was asked for is wrong.
        InfrastructureError: the cluster or a registry cannot be reached or refuses.
        Interrupted: somebody asked to stop.

    """
    from dag.run.pod.out import prepare_directory
    from dag.run.pod.several import FollowOptions, PodGroup, exit_code_of
    from dag.run.signals import run_interruptibly

    options.check()
    request = prepare(options, terminal)
    if not request.pods:
        return PodOutcome(namespace=request.namespace)
    if options.out:
        prepare_directory(Path(options.out), Path(options.directory))
    request = run_interruptibly(_check_beforehand(options, request, terminal))
    request = request.push(terminal)
    following = FollowOptions(
        pending_timeout=options.pending_timeout, out=Path(options.out) if options.out else None
    )
    pods = PodGroup(request.manifests(), following, terminal)
    results = run_interruptibly(_create(options, pods, terminal, created), pods.leftovers)
    return PodOutcome(
        results=tuple(results), namespace=request.namespace, exit_code=exit_code_of(results)
    )


async def _check_beforehand(
    options: PodOptions, request: PodRequest, terminal: Terminal
) -> PodRequest:
    """Find out whether the cluster takes the pods; return the request with their identity."""
    from dag.io.kube.opening import opened_cluster
    from dag.run.pod.access import read_identity
    from dag.run.pod.preflight import check_pod

    out, account = bool(options.out), options.service_account
    async with opened_cluster(options, terminal.say) as kube:
        request = request.with_identity(
            await read_identity(
                kube, request.namespace, account, options.bucket, options.src_bucket
            )
        )
        for manifest in request.manifests():
            await check_pod(kube, manifest, follow=options.watch, out=out, warn=terminal.say)
    return request


async def _create(
    options: PodOptions,
    pods: PodGroup,
    terminal: Terminal,
    created: Callable[[str], None],
) -> list[PodResult]:
    from dag.io.kube.opening import opened_cluster
    from dag.run.pod.create import create_pod

    async with opened_cluster(options, terminal.say) as kube:
        if not options.watch:
            for manifest in pods.manifests:
                pod = await create_pod(kube, manifest)
                created(pod["metadata"]["name"])
            return []
        return await pods.run(kube)
