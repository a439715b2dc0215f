"""`dag build --on kubernetes` for several architectures: one run, Jobs on the nodes of each, one end."""

from __future__ import annotations

import html
import signal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cluster import Cluster
from dag.core.jobs.names import job_name
from examples.bootstrap import add_foreign
from tests.support.builds import SHARE
from tests.support.cluster.foreign import member
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import Running
from tests.support.schema import checked

pytestmark = [pytest.mark.cluster, pytest.mark.torture]
ONLY_INTEL = "test $(uname -m) = x86_64"
TELLS = f"uname -m >${{{{targets.destdir}}}}{SHARE}/kernel"


def test_one_run_builds_for_each_architecture_on_its_nodes_and_joins_the_results(
    jobs: Jobs, arm_node: Cluster, tmp_path: Path
) -> None:
    jobs.define(picky=ONLY_INTEL, machine=TELLS)
    add_foreign(jobs.directory / "bootstrap", "aarch64")
    out, suites = tmp_path / "out", tmp_path / "junit.xml"
    words = ("--arch=amd64,arm64", "--json", f"--out={out}", f"--junit={suites}")
    page = tmp_path / "page.html"
    done = jobs.build(*words, f"--report={page}")
    assert done.returncode == 1, done.stderr
    arm, intel = checked(done.stdout, "results")["results"]
    codes = [(one["arch"], one["exit_code"]) for one in (arm, intel)]
    assert codes == [("aarch64", 1), ("x86_64", 0)], done.stderr
    assert arm["run"] == intel["run"]
    assert {one["name"]: one["state"] for one in arm["units"]} == {"machine": "done", "picky": "failed"}  # fmt: skip
    assert {one["state"] for one in intel["units"]} == {"done"}
    for arch in ("x86_64", "aarch64"):
        assert member(out / arch / "machine-1-r0.apk", f"{SHARE}/kernel"[1:]) == f"{arch}\n"
        assert (jobs.store / arch / "APKINDEX.tar.gz").exists()
        assert (tmp_path / f"page-{arch}.html").exists()
    assert [one.get("name") for one in ET.parse(suites).iter("testsuite")] == ["dag build aarch64", "dag build x86_64"]  # fmt: skip
    where = jobs.nodes()
    for arch, node in (("x86_64", "node-a"), ("aarch64", "node-b")):
        assert where[job_name(intel["run"], "machine", arch, 1)] == node
    assert jobs.jobs() == []
    # What the store keeps of the run is found for each, or for all.
    told = jobs.elsewhere("status", intel["run"], "--arch=x86_64", "--json")
    assert checked(told.stdout, "result")["exit_code"] == told.returncode == 0
    told = jobs.elsewhere("status", "--json")
    both = checked(told.stdout, "results")
    assert both["exit_code"] == told.returncode == 1
    assert [one["run"] for one in both["results"]] == [intel["run"]] * 2
    which = jobs.elsewhere("logs", "picky")
    assert which.returncode == 2
    assert "has a log of picky for aarch64 and x86_64" in which.stderr
    assert jobs.elsewhere("logs", "picky", "--arch=aarch64").returncode == 0
    later = tmp_path / "later.html"
    written = jobs.elsewhere("report", f"--out={later}")
    assert written.returncode == 0, written.stderr
    (log,) = jobs.store.glob(".dag/runs/*/aarch64/logs/picky.log")
    begin = html.escape(log.read_text().splitlines()[0])  # further up than what is told at the end
    assert begin in later.with_name("later-aarch64.html").read_text()
    assert intel["run"] in later.with_name("later-x86_64.html").read_text()


def test_an_architecture_without_nodes_is_said_before_anything_is_made_and_ctrl_c_ends_all(
    jobs: Jobs,
) -> None:
    jobs.define(first="true")
    everywhere = f"--kubeconfig={jobs.dag.cluster.kubeconfig}"  # who may list nodes
    running = jobs.start("--arch=s390x,x86_64", everywhere)
    running.await_line(r"no node has kubernetes.io/arch=s390x now; .* --node-arch")
    assert jobs.jobs() == []
    running.await_line(r"s390x: not scheduled")
    running.signal(signal.SIGINT)
    done = running.end()
    assert done.returncode == 130, done.stderr
    assert jobs.jobs() == []


def begin(jobs: Jobs, *, sleep: int) -> Running:
    """Start a build for both architectures, and return when its unit is being built for both."""
    jobs.define(slow=f"echo it has begun; sleep {sleep}")
    add_foreign(jobs.directory / "bootstrap", "aarch64")
    running = jobs.start("--arch=x86_64,aarch64")
    for arch in ("x86_64", "aarch64"):
        running.await_line(rf"^dag: {arch}: building slow")
    jobs.await_build("slow", "it has begun")
    return running


@pytest.mark.torture(only=True)
@pytest.mark.parametrize("driven", [True, False])
def test_what_is_cancelled_is_the_whole_run(jobs: Jobs, arm_node: Cluster, driven: bool) -> None:
    running = begin(jobs, sleep=200)
    if not driven:
        running.signal(signal.SIGKILL)
    cancelled = jobs.elsewhere("cancel", "--arch=aarch64")
    assert cancelled.returncode == 0, cancelled.stderr
    assert jobs.jobs() == []
    if driven:
        done = running.end()
        assert done.returncode == 130, done.stderr


@pytest.mark.torture(only=True)
def test_a_command_that_was_killed_is_gone_on_with_for_each_architecture(
    jobs: Jobs, arm_node: Cluster, tmp_path: Path
) -> None:
    running = begin(jobs, sleep=30)
    running.signal(signal.SIGKILL)
    seen = jobs.elsewhere("status", "--json")
    assert seen.returncode == 0  # as nobody else was heard of yet
    alive = checked(seen.stdout, "all jobs")["jobs"]
    assert [one["arch"] for one in alive] == ["aarch64", "x86_64"]
    begun = {one["run"] for one in alive}
    page = tmp_path / "page.html"
    done = jobs.build("--arch=x86_64,aarch64", "--json", f"--report={page}")
    assert done.returncode == 0, done.stderr
    assert "going on with run" in done.stderr
    results = checked(done.stdout, "results")["results"]
    assert [one["attempts"] for result in results for one in result["units"]] == [1, 1]
    (run,) = jobs.store.glob(".dag/runs/*")
    assert {result["run"] for result in results} == {run.name} == begun
    assert run.name in page.with_name("page-aarch64.html").read_text()
