"""Creates a probe, waits for what it says, and deletes it whatever happens."""

from __future__ import annotations

import asyncio
import time

from dag.core.doctor.probes import PROBE_LABEL, ProbeOutcome, outcome, selector
from dag.core.kube.objects import KubeObject
from dag.core.pod.state import event_time
from dag.errors import DagError
from dag.io.kube.api import ApiError, Kube
from dag.report.terminal import Terminal
from dag.run.pod.follow import pods_path

_EVERY = 0.3


async def run_probe(kube: Kube, manifest: KubeObject, terminal: Terminal) -> ProbeOutcome:
    """Run one probe to its end, or for as long as one may take.

    Raises:
        ApiError: the API server cannot be reached, or refuses the probe.

    """
    try:
        created = await kube.create(pods_path(manifest), manifest, label=selector(manifest))
        name = created["metadata"]["name"]
        terminal.detail(f"pod {name} tries {manifest['metadata']['labels'][PROBE_LABEL]}")
        path = f"{pods_path(manifest)}/{name}"
        began = time.monotonic()
        while True:
            probe = await kube.get(path)
            events = await _events(kube, probe)
            ended = outcome(probe, events, time.monotonic() - began)
            if ended is not None:
                return ended
            await asyncio.sleep(_EVERY)
    finally:
        await _remove(kube, manifest, terminal)


async def _events(kube: Kube, probe: KubeObject) -> list[KubeObject]:
    about = f"involvedObject.uid={probe['metadata']['uid']}"
    path = f"/api/v1/namespaces/{probe['metadata']['namespace']}/events"
    try:
        found = (await kube.get(path, fieldSelector=about))["items"]
    except ApiError as error:
        if error.status == 403:
            return []
        raise
    return sorted(found, key=event_time)


async def _remove(kube: Kube, manifest: KubeObject, terminal: Terminal) -> None:
    # By its label: the answer to its creation may never have come.
    path, label = pods_path(manifest), selector(manifest)
    try:
        for probe in (await kube.get(path, labelSelector=label))["items"]:
            await kube.delete(f"{path}/{probe['metadata']['name']}", uid=probe["metadata"]["uid"])
    except DagError as error:
        namespace = manifest["metadata"]["namespace"]
        terminal.say(f"a probe may be left behind: {error.message}")
        terminal.say(f"delete it with: kubectl delete pods -n {namespace} -l {label}")
