"""The example distribution is built as Jobs on the two real nodes, by real melange."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.layout import lay_out
from examples.sources import ADDRESS, SourceServer
from tests.support.builds import run
from tests.support.cluster.jobs import Jobs
from tests.support.schema import checked
from tests.torture.distribution import index
from tests.torture.kills import environment

pytestmark = pytest.mark.cluster


def test_every_package_is_a_job_and_what_is_finished_is_not_built_again(
    jobs: Jobs, tmp_path: Path
) -> None:
    with SourceServer(host=ADDRESS, port=0) as server:
        jobs.directory = lay_out(tmp_path / "sources", source_url=server.url)
        first = jobs.build("baselayout")
        assert first.returncode == 0, first.stderr
        rest = jobs.build()
    assert rest.returncode == 0, rest.stderr
    assert "11 packages to build for x86_64, 1 there already" in rest.stderr
    assert (jobs.store / "x86_64/everything-1-r0.apk").exists()
    assert (jobs.store / "x86_64/APKINDEX.tar.gz").exists()
    assert jobs.jobs() == []
    jobs.dag.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=240s")
    again = jobs.build(f"--out={tmp_path / 'out'}")
    assert again.returncode == 0, again.stderr
    assert "0 packages to build for x86_64" in again.stderr
    brought = {path.name for path in (tmp_path / "out/x86_64").glob("*.apk")}
    assert brought == {*index(jobs.store)} == {*index(tmp_path / "out")}
    damaged = tmp_path / "out/x86_64/everything-1-r0.apk"
    damaged.write_bytes(b"damaged")
    mended = jobs.build(f"--out={tmp_path / 'out'}")
    assert mended.returncode == 0, mended.stderr
    published = jobs.store / "x86_64" / damaged.name
    assert damaged.read_bytes() == published.read_bytes()


def test_what_jobs_build_is_byte_for_byte_what_this_machine_builds(
    jobs: Jobs, tmp_path: Path
) -> None:
    jobs.define()
    for name, needs in (("a", []), ("b", ["a"]), ("c", ["a", "b"])):
        jobs.add(name, *needs)
    jobs.dag.environment["SOURCE_DATE_EPOCH"] = environment()["SOURCE_DATE_EPOCH"]
    done = jobs.build("--json")
    assert done.returncode == 0, done.stderr
    units = checked(done.stdout, "result")["units"]
    assert all(0 < unit["used"]["cpu_seconds"] < 600 for unit in units)
    assert all((1 << 20) < unit["used"]["ram"] <= unit["ram"] for unit in units)
    code, _, said = run(jobs.directory, "--store", str(tmp_path / "here"))
    assert code == 0, said
    assert blobs(jobs.store) == blobs(tmp_path / "here")
    assert len(blobs(jobs.store)) == 3


def blobs(store: Path) -> set[str]:
    return {path.name for path in (store / ".dag/blobs/sha256").iterdir()}
