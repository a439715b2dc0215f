"""The example distribution is built as Jobs on the two real nodes, by real melange."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.bootstrap import bootstrap
from examples.layout import lay_out
from examples.sources import ADDRESS, SourceServer
from tests.support.cluster.claims import shared_claim
from tests.support.cluster.running import Dag, Done

pytestmark = pytest.mark.cluster


@pytest.fixture
def store(dag: Dag) -> Iterator[Path]:
    """Make a claim, and permit a user to do what `dag setup cluster` permits, and no more."""
    permitted = dag("setup", "cluster", "--user=limited")
    assert permitted.returncode == 0, permitted.stderr
    with shared_claim(dag) as place:
        yield place


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    bootstrap()
    with SourceServer(host=ADDRESS, port=0) as server:
        yield lay_out(tmp_path / "d", source_url=server.url)


def build(dag: Dag, directory: Path, *words: str) -> Done:
    where = ("--on=kubernetes", "--store=pvc://store", "--ram=256Mi")
    user = f"--kubeconfig={dag.cluster.limited_kubeconfig}"
    return dag("build", "--dir", directory, user, *where, *words)


def test_every_package_is_a_job_and_what_is_finished_is_not_built_again(
    dag: Dag, store: Path, directory: Path
) -> None:
    first = build(dag, directory, "baselayout")
    assert first.returncode == 0, first.stderr
    rest = build(dag, directory)
    assert rest.returncode == 0, rest.stderr
    assert "11 packages to build for x86_64, 1 there already" in rest.stderr
    assert (store / "x86_64/everything-1-r0.apk").exists()
    assert (store / "x86_64/APKINDEX.tar.gz").exists()
    assert not json.loads(dag.kubectl("get", "jobs", "-o", "json"))["items"]
    dag.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=60s")
    again = build(dag, directory)
    assert again.returncode == 0, again.stderr
    assert "0 packages to build for x86_64" in again.stderr
