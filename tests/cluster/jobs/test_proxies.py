"""Agents, builds and drivers of a run reach the network through the proxy of --proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.jobs.test_detached import attach, detach
from tests.support.cluster.findings import Findings
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.proxied import PACKAGES, SOURCES, behind_proxy
from tests.support.schema import checked

pytestmark = pytest.mark.cluster


def test_units_and_what_drives_them_fetch_through_the_proxy(jobs: Jobs, tmp_path: Path) -> None:
    with behind_proxy(tmp_path / "behind") as behind:
        jobs.directory = behind.directory
        jobs.dag.environment |= behind.environment
        proxy = f"--proxy={behind.url}"
        found = Findings(jobs.dag, jobs.directory, *jobs.words(proxy)[4:])
        assert found.message("proxy x86_64") == f"{behind.url} serves pods"
        begun = detach(jobs, proxy, "template")
        done = attach(jobs, tmp_path / "elsewhere", "--json").end(400)
        assert done.returncode == 0, done.stderr
        assert checked(done.stdout, "result")["run"] == begun["run"]
        assert behind.fetched(f"{SOURCES}/git/template.git/info/refs")
        assert behind.fetched(f"{PACKAGES}/x86_64/git-")
        # The key of a unit knows nothing of it.
        again = jobs.build(
            f"{proxy}/", "--no-proxy=.example.com", "--rebuild=dependents", "template"
        )
        assert again.returncode == 0, again.stderr
        assert "0 packages to build" in again.stderr
    assert (jobs.store / "x86_64/template-0.20-r0.apk").exists()
