"""Runs one probe: it is created, watched until it has said something, and deleted in any case."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from dag.core.doctor.probes import PROBE_LABEL, PROBE_RULES, ProbeOutcome, outcome
from dag.core.kube.objects import KubeObject
from dag.errors import Interrupted
from dag.io.kube.api import Kube
from dag.io.store.objects import HINT
from dag.report.terminal import Terminal
from dag.run.pod.create import selector
from dag.run.pod.follow import PodFollower


def without_usual_hint(outcome: ProbeOutcome) -> ProbeOutcome:
    """Return an outcome without the hint that agents give of any store: the doctor knows more of this one."""
    return replace(outcome, hint=None) if outcome.hint == HINT else outcome


async def run_probe(kube: Kube, manifest: KubeObject, terminal: Terminal) -> ProbeOutcome:
    """Run one probe to its end, or for as long as one may take, and return what became of it.

    Raises:
        ApiError: the API server cannot be reached, or refuses the probe.

    """
    metadata = manifest["metadata"]
    terminal.detail(f"a pod tries {metadata['labels'][PROBE_LABEL]}")
    follower = PodFollower(kube, manifest, PROBE_RULES, terminal, quiet=True)
    watch = follower.watch
    try:
        result = await follower.run()
    except Interrupted:
        raise asyncio.CancelledError from None  # whoever cancelled this has the words for it
    finally:
        if watch.leftover:
            command = f"kubectl delete pods -n {metadata['namespace']} -l {selector(manifest)}"
            terminal.say(f"{watch.leftover}; delete it with: {command}")
    return outcome(result.ending, watch.pod, watch.patience.events())
