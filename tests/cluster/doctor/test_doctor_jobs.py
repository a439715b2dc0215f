"""`dag doctor --on kubernetes` on the real Kubernetes: what stops a build as Jobs, and the remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dag.core.kube.objects import KubeObject
from dag.core.pod.sample import sample_pod
from tests.support.cluster.claims import shared_claim
from tests.support.cluster.findings import Findings
from tests.support.cluster.running import Dag, definitions
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster

ON = ("--on=kubernetes", "--ram=256Mi")
CLAIM = (*ON, "--store=pvc://store/wolfi")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return definitions(tmp_path / "d")


@pytest.fixture
def store(dag: Dag) -> Iterator[Path]:
    with shared_claim(dag) as place:
        yield place


def left_behind(dag: Dag) -> list[str]:
    """Return the names of the Jobs that nobody has deleted."""
    jobs = json.loads(dag.kubectl("get", "jobs", "-o", "json"))["items"]
    return [one["metadata"]["name"] for one in jobs if "deletionTimestamp" not in one["metadata"]]


def test_where_units_can_be_built_nothing_is_wrong_and_no_probe_stays(
    dag: Dag, directory: Path, store: Path
) -> None:
    permitted = dag("setup", "cluster", "--user=limited")
    assert permitted.returncode == 0, permitted.stderr
    user = f"--kubeconfig={dag.cluster.limited_kubeconfig}"
    found = Findings(dag, directory, *CLAIM, user, "--detach")
    assert found.code == 0, found.checks
    assert found.with_status("failed") == []
    assert "root of the pod is uid" in found.message("user namespace x86_64")
    for name in ("permissions", "driver account", "agent x86_64", "sdk x86_64", "store x86_64"):
        assert found.status(name) == "ok", found.checks[name]
    assert left_behind(dag) == []
    assert [path for path in store.rglob("*") if path.is_file()] == []


def test_what_cannot_be_a_store_is_told_before_anything_is_made(dag: Dag, directory: Path) -> None:
    done = dag("doctor", "--dir", directory, *ON, "--store=packages")
    assert done.returncode == 2
    assert "--store pvc://CLAIM" in done.stderr
    found = Findings(dag, directory, *CLAIM)
    assert found.code == 2
    assert "there is no volume claim store" in found.failed("claim")
    assert found.message("store x86_64") == "not checked: claim comes first"
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    dag.apply("PersistentVolumeClaim", "store", spec=claim)
    found = Findings(dag, directory, *CLAIM)
    assert "its access modes are ReadWriteOnce" in found.failed("claim")
    built = dag("build", "--dir", directory, *CLAIM)
    assert built.returncode == 2
    assert found.failed("claim") in built.stderr


def test_a_store_that_agents_may_not_write_is_told_by_the_agent(
    dag: Dag, directory: Path, store: Path
) -> None:
    store.chmod(0o755)
    found = Findings(dag, directory, *CLAIM)
    assert found.code == 3
    assert "Permission denied" in found.failed("store x86_64")
    assert "user 65532" in found.checks["store x86_64"]["fix"]
    assert found.status("sdk x86_64") == "ok"


@pytest.mark.usefixtures("no_queues")
def test_what_a_cluster_lacks_is_told_by_the_doctor_and_by_a_build_in_the_same_words(
    dag: Dag, directory: Path, store: Path
) -> None:
    words = (*CLAIM, "--queue=builds", "--cpu=9000", "--probe=false")
    found = Findings(dag, directory, *words)
    assert found.code == 2
    assert found.with_status("failed") == ["queue"]
    assert "the cluster has no Kueue" in found.failed("queue")
    assert found.status("room x86_64") == "warning"
    assert "no node has room now for" in found.message("room x86_64")
    assert found.message("agent x86_64") == "not checked: queue comes first"
    built = dag("build", "--dir", directory, *CLAIM, "--queue=builds")
    assert built.returncode == 2
    assert found.failed("queue") in built.stderr

    limited = f"--kubeconfig={dag.cluster.limited_kubeconfig}"
    found = Findings(dag, directory, *CLAIM, limited, "--probe=false")
    assert found.code == 3
    assert found.with_status("failed") == ["permissions"]
    built = dag("build", "--dir", directory, *CLAIM, limited)
    assert built.returncode == 3
    assert found.failed("permissions") in built.stderr
    found.mend(dag, "permissions")
    assert Findings(dag, directory, *CLAIM, limited, "--probe=false").code == 0


def test_the_rule_that_refuses_builds_is_told_by_the_doctor_and_by_a_build_in_the_same_words(
    dag: Dag, directory: Path, store: Path, forbids_root: str
) -> None:
    permitted = dag("setup", "cluster", "--user=limited")
    assert permitted.returncode == 0, permitted.stderr
    words = (*CLAIM, f"--kubeconfig={dag.cluster.limited_kubeconfig}")
    found = Findings(dag, directory, *words, "--probe=false")
    assert found.code == 3
    assert found.with_status("failed") == ["pod security"]
    assert f"ValidatingAdmissionPolicy '{forbids_root}'" in found.failed("pod security")
    assert "no pod may be root" in found.failed("pod security")
    assert "who runs it can leave out this namespace" in found.checks["pod security"]["fix"]
    assert found.message("agent x86_64") == "not checked: pod security comes first"
    built = dag("build", "--dir", directory, *words)
    assert built.returncode == 3
    assert found.failed("pod security") in built.stderr
    assert "uploaded" not in built.stderr
    assert left_behind(dag) == []


@pytest.fixture
def forbids_root(dag: Dag) -> Iterator[str]:
    """Return the name of a policy of the cluster for this namespace, once that is in force."""
    name = f"not-root-{dag.namespace}"
    api = "admissionregistration.k8s.io/v1"
    here = {"matchLabels": {"kubernetes.io/metadata.name": dag.namespace}}
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["pods"],
        "operations": ["CREATE"],
    }
    judgement = {
        "expression": "has(object.spec.securityContext) && has(object.spec.securityContext.runAsNonRoot)",
        "message": "no pod may be root",
    }
    matched = {"resourceRules": [rule], "namespaceSelector": here}
    policy = {"matchConstraints": matched, "validations": [judgement]}
    dag.apply(f"{api}/ValidatingAdmissionPolicy", name, spec=policy)
    binding = {"policyName": name, "validationActions": ["Deny"]}
    dag.apply(f"{api}/ValidatingAdmissionPolicyBinding", name, spec=binding)
    try:
        pod = sample_pod(dag.namespace, "default", dag.cluster.sdk_image, confined=True)
        eventually(lambda: is_refused(dag, pod), "the policy refuses no pod")
        yield name
    finally:
        dag.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name)


def is_refused(dag: Dag, pod: KubeObject) -> bool:
    """Return whether the API server would not make a pod."""
    try:
        dag.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    except AssertionError:
        return True
    return False


def test_probes_run_where_the_flags_say(dag: Dag, directory: Path, store: Path) -> None:
    (directory / "dag.toml").write_text('[build]\nnode-selector = ["pool=none"]\n')
    found = Findings(dag, directory, *CLAIM)
    assert found.status("room x86_64") == "warning"
    assert "no node takes such pods now" in found.message("room x86_64")
    assert found.status("agent x86_64") == "warning"
    assert left_behind(dag) == []
