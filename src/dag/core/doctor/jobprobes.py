"""Describes small Jobs that try on a node what the Jobs of units need there: each has one question."""

from __future__ import annotations

from dataclasses import replace

from dag.core.build.scripts import SCRIPT_STATE, check_script
from dag.core.doctor.probes import (
    DEADLINE,
    PROBE,
    probe_command,
    probe_script,
    proxy_container,
)
from dag.core.jobs.manifest import JobSettings, agent_container, container_job
from dag.core.kube.objects import KubeObject, seal
from dag.core.pod.pieces import agent_security, builder_fields
from dag.core.pod.sample import NO_REQUESTS


def agent_job_probe(settings: JobSettings) -> KubeObject:
    """Ask a node to pull the agent's image, to run it, and what its users are outside."""
    container = {
        "image": settings.bundle,
        "command": probe_command("cat", "/proc/self/uid_map"),
        "securityContext": agent_security(),
    }
    return _probe(settings, "agent", container)


def sdk_job_probe(settings: JobSettings, melange: str, *, trust_steps: bool) -> KubeObject:
    """Ask the SDK's image for its tools, and for a step, confined as a unit is."""
    step = ["true"] if trust_steps else check_script(SCRIPT_STATE).command()
    container = {
        "image": settings.sdk_image,
        "command": probe_command(*probe_script("sdk", melange, *step)),
        **builder_fields("/tmp", confined=settings.confined),  # noqa: S108
    }
    return _probe(settings, "sdk", container)


def proxy_job_probe(settings: JobSettings, proxy: str) -> KubeObject:
    """Ask an agent whether the proxy serves it."""
    return _probe(settings, "proxy", proxy_container(settings.bundle, proxy))


def store_job_probe(settings: JobSettings) -> KubeObject:
    """Ask an agent to write to the store, and to delete that."""
    words = [f"--arch={settings.arch.apk}", f"--write=probes/{settings.run}"]
    return _probe(settings, "store", agent_container(settings, PROBE, "try-store", words))


def _probe(settings: JobSettings, name: str, container: KubeObject) -> KubeObject:
    run = f"{settings.run}-{name}-{settings.arch.oci.replace('/', '-')}"
    whole = {**container, "name": PROBE, "resources": {"requests": NO_REQUESTS}}
    job = container_job(replace(settings, run=run), f"dag-{run}", whole)
    job["spec"]["activeDeadlineSeconds"] = round(2 * DEADLINE)
    return seal(job)
