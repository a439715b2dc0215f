"""An admission webhook changes the pods, and the result is still that of the build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster.admission import admission
from tests.support.cluster.running import Dag, definitions

pytestmark = pytest.mark.cluster

Json = dict[str, Any]


def sidecar(dag: Dag, script: str, *, native: bool) -> list[Json]:
    container = {"name": "proxy", "image": dag.cluster.base_image, "command": ["sh", "-c", script]}
    if native:
        native_one = {**container, "restartPolicy": "Always"}
        return [{"op": "add", "path": "/spec/initContainers/0", "value": native_one}]
    return [{"op": "add", "path": "/spec/containers/-", "value": container}]


def of_dag(pod: Json, patch: list[Json]) -> list[Json]:
    """Leave alone the pods that `admission` itself makes."""
    return patch if pod["spec"].get("initContainers") else []


STAYS = "trap 'exit 143' TERM; sleep 3600 & wait"


@pytest.mark.parametrize(
    ("script", "native"),
    [("sleep 4; exit 1", True), (STAYS, True), (STAYS, False), ("exit 1", False)],
    ids=["native-fails", "native-stays", "stays", "fails"],
)
def test_a_sidecar_changes_nothing(dag: Dag, tmp_path: Path, script: str, native: bool) -> None:
    patch = sidecar(dag, script, native=native)
    with admission(dag, tmp_path / "hook", lambda pod: of_dag(pod, patch)):
        done = dag("pod", "--dir", definitions(tmp_path / "d"))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("[build]")]
    assert lines == ["[build] making one-1.10-r2", "[build] making two-1.10-r2"]
    assert "could not be read" not in done.stderr


def test_a_sidecar_that_runs_is_no_progress(dag: Dag, tmp_path: Path) -> None:
    patch = sidecar(dag, STAYS, native=True)
    with admission(dag, tmp_path / "hook", lambda pod: of_dag(pod, patch)):
        words = ["--pull-repo=127.0.0.1:1/x", "--pending-timeout=60s"]
        done = dag("pod", "--dir", definitions(tmp_path / "d"), *words)
    assert done.returncode == 3, done.stderr
    assert "nothing ran for 60 s (--pending-timeout): container init: cannot pull" in done.stderr
    assert dag.pods() == []


def never_as_root(pod: Json, name: str) -> list[Json]:
    containers = [one["name"] for one in pod["spec"]["containers"]]
    if name not in containers:
        return []
    context = {"runAsNonRoot": True, "runAsUser": 0}
    path = f"/spec/containers/{containers.index(name)}/securityContext"
    return [{"op": "add", "path": path, "value": context}]


def test_a_build_whose_packages_nobody_could_take_does_not_begin(dag: Dag, tmp_path: Path) -> None:
    directory = definitions(tmp_path / "d")
    with admission(dag, tmp_path / "hook", lambda pod: never_as_root(pod, "out")):
        words = ["--out", str(tmp_path / "out"), "--pending-timeout=60s"]
        done = dag("pod", "--dir", directory, *words)
    assert done.returncode == 3, done.stderr
    assert "container out: CreateContainerConfigError: " in done.stderr
    assert "making" not in done.stdout
    assert dag.pods() == []
