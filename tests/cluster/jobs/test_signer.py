"""A signer in a namespace of its own signs what builds attest, and no build reaches its key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.claims import make_claim, remove_claim
from tests.support.builds import new_key
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import Dag, Done

pytestmark = pytest.mark.cluster


@pytest.fixture
def apart(dag: Dag, jobs: Jobs) -> Iterator[str]:
    """Return a namespace whose claim `store` is the same directory as that of the builds."""
    name = f"{dag.namespace}-signer"
    kubectl = dag.cluster.run_kubectl
    kubectl("create", "namespace", name)
    try:
        make_claim(dag.cluster, name, "store", directory=jobs.store)
        yield name
    finally:
        remove_claim(dag.cluster, name, "store")
        kubectl("delete", "namespace", name, "--wait=false")


def setup(dag: Dag, namespace: str, key: Path, image: str, *words: str) -> Done:
    return dag(
        *("setup", "signer", f"--signer-namespace={namespace}", "--store=pvc://store"),
        *(f"--signing-key={key}", f"--agent-image={image}", f"--namespace={dag.namespace}"),
        *words,
    )


def test_builds_are_signed_by_who_has_the_key_and_they_reach_it_in_no_way(
    dag: Dag, jobs: Jobs, apart: str, tmp_path: Path
) -> None:
    key = new_key(tmp_path)
    jobs.define(one="true")
    assert jobs.build("--publish=false", "--sign=apart").returncode == 0
    base = f"--base={dag.cluster.base_image}"
    pushed = dag("image", f"--push={dag.repository}", "--insecure-registry", base)
    assert pushed.returncode == 0, pushed.stderr
    image = pushed.stdout.strip()
    made = setup(dag, apart, key, image, "--user=limited")
    assert made.returncode == 0, made.stderr
    assert "Test: a pod must find the key and the store (passed)" in made.stderr
    assert "--isolation privileged: a step that leaves its pod has its whole node" in made.stderr
    again = setup(dag, apart, key, image, "--user=limited")
    assert again.returncode == 0, again.stderr
    assert "Secret: the key that signs (there already)" in again.stderr

    jobs.define(one="true", two="true")
    signed = jobs.build("--sign=apart", "--signer-timeout=5m")
    assert signed.returncode == 0, signed.stderr
    assert {path.name for path in jobs.store.glob("x86_64/*")} == {
        "one-1-r0.apk",
        "two-1-r0.apk",
        "APKINDEX.tar.gz",
    }
    assert (jobs.store / ".dag/key/my.rsa.pub").exists()

    # Whoever drives builds may do nothing where the key is; if they may, it is said.
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
    binding = {
        **role,
        "metadata": {"name": "too-much", "namespace": apart},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}],
    }
    dag.cluster.run_kubectl("create", "-f", "-", stdin=json.dumps(binding))
    refused = setup(dag, apart, key, image, "--user=limited")
    assert refused.returncode == 3
    assert f"limited may do this in namespace {apart}, so the key is not apart" in refused.stderr
