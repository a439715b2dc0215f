"""Several Pods of one command, one an architecture, followed at once to one result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from dag.core.kube.objects import KubeObject
from dag.core.pod.manifest import ARCH_LABEL
from dag.core.pod.state import Cause, Ending
from dag.errors import DagError, Interrupted
from dag.io.kube.api import Kube
from dag.report.terminal import Terminal
from dag.run.pod.follow import PodResult, Watching, run_pod


async def run_pods(
    kube: Kube, manifests: Sequence[KubeObject], watching: Watching, terminal: Terminal
) -> list[PodResult]:
    """Run a Pod for each manifest; one that fails does not end the others.

    Raises:
        Interrupted: the task was cancelled; every Pod was asked to go.

    """
    several = len(manifests) > 1
    tasks = [
        asyncio.ensure_future(_run(kube, manifest, watching, terminal, several=several))
        for manifest in manifests
    ]
    try:
        # Waits for all of them, also when it is cancelled: each cleans up after itself.
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    except asyncio.CancelledError:
        words = (str(task.exception()) for task in tasks if task.done() and not task.cancelled())
        raise Interrupted("; ".join(dict.fromkeys(words)) or "interrupted") from None
    results: list[PodResult] = []
    for result in ended:
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


def joined(results: Sequence[PodResult]) -> int:
    """Join the exit codes: 1 if a build failed, else 3 if anything else did."""
    codes = {result.ending.exit_code for result in results}
    return 1 if 1 in codes else max(codes)


async def _run(
    kube: Kube, manifest: KubeObject, watching: Watching, terminal: Terminal, *, several: bool
) -> PodResult:
    label = str(manifest["metadata"]["labels"][ARCH_LABEL]) if several else ""
    if several:
        terminal = terminal.about(label)
        watching = replace(watching, label=label)
    try:
        result = await run_pod(kube, manifest, watching, terminal)
    except Interrupted:
        raise
    except DagError as error:
        cause = Cause.MAKE if error.exit_code == 1 else Cause.START
        ending = Ending(cause, error.message, error.hint)
        return PodResult("", ending, kept=False, label=label)
    return replace(result, label=label)
