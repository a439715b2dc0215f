"""The Jobs of probes do not get into each other's way, and go if nobody deletes them."""

from __future__ import annotations

from dataclasses import replace

from dag.core.arch import ARCHITECTURES, Arch
from dag.core.doctor.jobprobes import agent_job_probe
from tests.support.orders import SETTINGS


def test_each_architecture_has_probes_of_its_own() -> None:
    settings = [replace(SETTINGS, arch=Arch.parse(name)) for name in ARCHITECTURES]
    names = {agent_job_probe(one)["metadata"]["name"] for one in settings}
    assert len(names) == len(ARCHITECTURES)
    assert not any("/" in name or "_" in name for name in names)


def test_a_probe_that_nobody_deletes_ends() -> None:
    assert agent_job_probe(SETTINGS)["spec"]["activeDeadlineSeconds"] == 120
