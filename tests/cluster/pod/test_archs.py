"""`--arch` with several architectures: one bundle, a pod for each, and one result."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cluster import Cluster, kwok
from dag.core.image.agent import LABEL
from tests.support.cluster.images import busybox_image
from tests.support.cluster.running import Dag, definitions

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (2, 1)])
def test_each_architecture_has_a_pod_and_the_results_are_joined(
    dag: Dag, simulated: Cluster, tmp_path: Path, code: int, expected: int
) -> None:
    kwok.up(simulated, 1, "arm64")
    dag.kubectl("taint", "nodes", "kwok-arm64-0", f"{kwok.TAINT}-")
    running = dag.start(definitions(tmp_path / "d"), "--arch=amd64,arm64")
    name = running.await_line(r"^dag: aarch64: pod (\S+) created")[1]
    ends = [f"kwok/exit-code={code}", "kwok/duration=100ms"]
    dag.kubectl("annotate", "pod", name, *ends)
    done = running.end()
    assert done.returncode == expected, done.stderr
    assert "[x86_64/build] making two-1.10-r2" in done.stdout
    assert "[aarch64/build] simulated" in done.stdout
    assert "dag: x86_64: done after" in done.stderr
    assert ("dag: aarch64: make failed with exit code 2" in done.stderr) == bool(code)
    pod = yaml.safe_load(dag.kubectl("get", "pod", name, "-o", "yaml"))
    assert pod["spec"]["nodeName"] == "kwok-arm64-0"
    assert "packages/aarch64" not in done.stdout


def test_pods_of_one_command_share_bundle_and_run(dag: Dag, tmp_path: Path) -> None:
    done = dag.pod(definitions(tmp_path / "d"), "--arch=arm64,x86_64,aarch64", "--create=false")
    assert done.returncode == 0, done.stderr
    arm, intel = yaml.safe_load_all(done.stdout)
    assert arm["spec"]["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert intel["spec"]["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    assert arm["spec"]["tolerations"][0]["value"] == "arm64"
    assert "tolerations" not in intel["spec"]
    for key in ("dag/bundle", "dag/version", "dag/packages"):
        assert arm["metadata"]["annotations"][key] == intel["metadata"]["annotations"][key]
    assert arm["metadata"]["labels"]["dag/run"] == intel["metadata"]["labels"]["dag/run"]


def test_an_architecture_that_no_node_has_is_a_warning(dag: Dag, tmp_path: Path) -> None:
    flags = ["--arch=s390x", "--pending-timeout=1s"]
    done = dag.pod(definitions(tmp_path / "d"), *flags)
    assert done.returncode == 3
    assert "no node has kubernetes.io/arch=s390x now" in done.stderr
    assert dag.pods() == []


def test_a_bundle_without_the_nodes_architecture_is_said_to_be_that(
    dag: Dag, tmp_path: Path
) -> None:
    config = {"Labels": {LABEL: "a test's"}}
    digest = busybox_image(dag.cluster, tmp_path, "only-arm", config=config, architecture="arm64")
    agent = f"{dag.cluster.registry}/only-arm@{digest}"
    done = dag.pod(definitions(tmp_path / "d"), f"--agent-image={agent}")
    assert done.returncode == 3
    assert "no match for platform" in done.stderr
    hint = done.stderr.splitlines()[-1]
    assert hint == "dag: hint: that image is for other architectures than this node's"
    assert dag.pods() == []
