"""`dag pod` says what the environment refuses, and what to do about it, and leaves no pod."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.cluster.running import Dag, definitions

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--namespace=nowhere"], 'namespaces "nowhere" not found'),
        (["--sdk-image=127.0.0.1:5000/none:1"], "there is no image 127.0.0.1:5000/none:1"),
        (["--bundle-repo=127.0.0.1:1/x"], "cannot be reached"),
        (["--cpu=9000", "--pending-timeout=3s"], "Insufficient cpu"),
        (["--arch=riscv64", "--pending-timeout=3s"], "not scheduled: "),
        (["--service-account=nobody"], 'serviceaccount "nobody" not found'),
        # dag waits before it gives up, because a registry may show an image late.
        (["--pull-repo=127.0.0.1:5000/other"], "cannot pull 127.0.0.1:5000/other@sha256:"),
    ],
)
def test_what_cannot_run_ends_with_the_reason(
    dag: Dag, tmp_path: Path, words: list[str], message: str
) -> None:
    done = dag.pod(definitions(tmp_path / "d"), *words)
    assert done.returncode == 3, done.stderr
    assert message in done.stderr.splitlines()[-1 if "hint" not in done.stderr else -2]
    if "--sdk-image" in words[0]:
        assert "bytes sent" not in done.stderr
    made = re.search(r'"(nowhere|nobody)" not found', message) is not None
    assert ("hint: kubectl create " in done.stderr) == made
    assert dag.pods() == []


def test_a_registry_that_nodes_cannot_reach_is_told_once_a_change(dag: Dag, tmp_path: Path) -> None:
    words = ["--pull-repo=127.0.0.1:1/x", "--pending-timeout=60s"]
    done = dag.pod(definitions(tmp_path / "d"), *words)
    assert done.returncode == 3, done.stderr
    told = [line for line in done.stderr.splitlines() if "cannot pull 127.0.0.1:1/x@" in line]
    assert len(told) == 2
    assert told[0].endswith("connect: connection refused")
    assert "nothing ran for 60 s (--pending-timeout): container init: cannot pull" in told[1]
    assert dag.pods() == []


def test_a_quota_is_named_before_anything_is_pushed(dag: Dag, tmp_path: Path) -> None:
    dag.quota({"requests.cpu": "500m"})
    done = dag.pod(definitions(tmp_path / "d"))
    assert done.returncode == 3, done.stderr
    assert "exceeded quota: small, requested: requests.cpu=1" in done.stderr
    assert "uploaded" not in done.stderr


def test_a_namespace_that_forbids_privilege_is_named_with_its_label(
    dag: Dag, tmp_path: Path
) -> None:
    label = "pod-security.kubernetes.io/enforce=baseline"
    dag.kubectl("label", "namespace", dag.namespace, label)
    done = dag.pod(definitions(tmp_path / "d"))
    assert done.returncode == 3, done.stderr
    assert 'violates PodSecurity "baseline:latest": privileged' in done.stderr
    assert "pod-security.kubernetes.io/enforce=privileged" in done.stderr
    assert "uploaded" not in done.stderr


def test_without_permission_nothing_is_pushed_or_created(dag: Dag, tmp_path: Path) -> None:
    limited = dag.cluster.limited_kubeconfig
    done = dag.pod(definitions(tmp_path / "d"), "--kubeconfig", limited)
    assert done.returncode == 3
    assert f"no permission in namespace '{dag.namespace}' to create pods, get pods" in done.stderr
    assert "uploaded" not in done.stderr
    assert dag.pods() == []


def test_credentials_that_are_not_accepted_are_named(dag: Dag, tmp_path: Path) -> None:
    config = yaml.safe_load(dag.cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": "stale"}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    done = dag.pod(definitions(tmp_path / "d"), "--kubeconfig", tmp_path / "config")
    assert done.returncode == 3
    assert "the API server does not accept the credentials" in done.stderr
    assert "hint: log in again" in done.stderr


def test_packages_that_could_not_be_kept_are_not_built(dag: Dag, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = dag.pod(definitions(tmp_path / "d"), "--out", tmp_path / "file" / "out")
    assert done.returncode == 2
    assert f"--out {tmp_path}/file/out: Not a directory" in done.stderr
    assert dag.pods() == []
