"""`dag doctor` on the real Kubernetes: every state that makes it fail, and the remedy."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster import Cluster, kwok, secret_store
from tests.support.buckets import NAME, s3
from tests.support.cluster.findings import Findings
from tests.support.cluster.running import Dag, definitions
from tests.support.registries import base_image, registry, skopeo
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster


def left_behind(dag: Dag) -> list[str]:
    """Return the names of the pods that nobody has deleted."""
    pods = json.loads(dag.kubectl("get", "pods", "-o", "json"))["items"]
    metadata = [pod["metadata"] for pod in pods]
    return [one["name"] for one in metadata if "deletionTimestamp" not in one]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return definitions(tmp_path / "d")


@pytest.fixture
def absent(dag: Dag) -> Iterator[str]:
    """Return the name of a namespace that does not exist yet."""
    name = f"{dag.namespace}-new"
    yield name
    dag.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.mark.parametrize("isolation", ["privileged", "userns"])
def test_where_a_build_works_nothing_is_wrong(dag: Dag, directory: Path, isolation: str) -> None:
    done = dag("doctor", "-d", directory, "--isolation", isolation, "--out", "out", "two")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert "2 packages to make for x86_64" in done.stdout
    assert "a step can be confined" in done.stdout
    namespaces = re.search(r"root of the pod is uid ([1-9]\d+) on its node", done.stdout)
    assert bool(namespaces) == (isolation == "userns")
    assert "nothing is known that would stop a build" in done.stderr
    assert left_behind(dag) == []


def test_what_a_namespace_lacks_is_there_after_the_commands_that_are_told(
    dag: Dag, directory: Path, absent: str
) -> None:
    (directory / "dag.toml").write_text('[pod]\nservice-account = "builder"\n')
    words = ["--namespace", absent, "--probe=false"]
    found = Findings(dag, directory, *words)
    assert found.code == 3
    assert found.with_status("failed") == ["namespace"]
    assert found.message("pod x86_64") == "not checked: namespace comes first"
    found.mend(dag, "namespace")

    level = "pod-security.kubernetes.io/enforce=baseline"
    dag.kubectl("label", "namespace", absent, level)
    found = Findings(dag, directory, *words)
    assert found.with_status("failed") == ["pod security", "service account"]
    found.mend(dag, "service account")
    found = Findings(dag, directory, *words)
    assert "violates PodSecurity" in found.failed("pod x86_64")
    found.mend(dag, "pod security")

    dag.quota({"requests.cpu": "50m"}, absent)
    found = Findings(dag, directory, *words)
    assert found.with_status("failed") == ["pod x86_64"]
    assert "exceeded quota: small" in found.failed("pod x86_64")
    dag.kubectl("delete", "quota", "small", f"--namespace={absent}")

    found = Findings(dag, directory, *words)
    assert found.code == 0
    assert found.with_status("failed") == []
    left_out = ["probe image", "pull x86_64", "sdk x86_64"]
    assert found.with_status("skipped") == left_out
    assert {found.checks[name]["message"] for name in left_out} == {"not checked: --probe=false"}


def test_each_permission_that_is_missing_is_named_and_one_role_gives_them(
    dag: Dag, directory: Path
) -> None:
    words = ["--kubeconfig", str(dag.cluster.limited_kubeconfig)]
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "create"]}]
    dag.apply("rbac.authorization.k8s.io/v1/Role", "partly", rules=rules)
    dag.kubectl("create", "rolebinding", "partly", "--role=partly", "--user=limited")
    found = Findings(dag, directory, *words)
    assert found.code == 3
    lacking = "watch pods, delete pods, get pods/log, list events, watch events"
    assert f"limited has no permission to {lacking}" in found.failed("permissions")
    assert found.status("pull x86_64") == "skipped"
    found.mend(dag, "permissions")

    found = Findings(dag, directory, *words)
    assert found.code == 0
    # Those who run builds need not be able to see the rest of the cluster.
    unseen = ["namespace", "service account", "node x86_64"]
    assert found.with_status("warning") == unseen
    assert found.status("pull x86_64") == found.status("sdk x86_64") == "ok"


def test_what_registries_refuse_or_lack_is_told_with_what_to_do(
    dag: Dag, directory: Path, tmp_path: Path
) -> None:
    none = f"{dag.cluster.registry}/none:1"
    with registry(tmp_path / "registry", htpasswd={"somebody": "word"}) as closed:
        words = ["--bundle-repo", f"{closed.host}/dag", "--sdk-image", none]
        found = Findings(dag, directory, *words)
    assert found.code == 3
    assert f"registry {closed.host} does not let us push to dag" in found.failed("push")
    assert found.checks["push"]["fix"] == f"docker login {closed.host}"
    assert found.failed("sdk image") == f"there is no image {none}"
    assert found.message("pull x86_64") == "not checked: push comes first"
    assert found.message("sdk x86_64") == "not checked: sdk image comes first"

    found = Findings(dag, directory, "--bundle-repo=127.0.0.1:1/dag", "--probe=false")
    assert "registry 127.0.0.1:1 cannot be reached" in found.failed("push")


def test_a_build_that_no_node_fits_is_a_warning_because_pools_scale(
    dag: Dag, directory: Path, tmp_path: Path
) -> None:
    # No test has simulated nodes of this architecture.
    base = f"{dag.repository}/base:1"
    base_image(tmp_path / "image", ("amd64", "s390x"), agent=True)
    skopeo(
        *("copy", "--all", "--dest-tls-verify=false"),
        *(f"oci:{tmp_path / 'image'}", f"docker://{base}"),
    )
    words = ["--arch=s390x,amd64", "--cpu=9000", "--bundle-base", base]
    found = Findings(dag, directory, *words)
    assert found.status("node s390x") == found.status("node x86_64") == "warning"
    assert "no node is s390x now" in found.message("node s390x")
    large = "no amd64 node is large enough, even when idle: the pod asks for 9000 CPUs"
    assert large in found.message("node x86_64")
    assert found.message("pull s390x").endswith("there is no node now to try it on")
    assert "is not for s390x: it has linux/amd64" in found.failed("sdk image")
    # This base has no busybox in it, and no shell.
    assert "executable file not found" in found.failed("pull x86_64")


@pytest.mark.usefixtures("secret_driver")
def test_the_signing_key_is_followed_from_the_driver_to_the_mounted_file(
    dag: Dag, directory: Path
) -> None:
    found = Findings(dag, directory, "--secret-key", "--csi-driver=none.example", "--probe=false")
    assert found.failed("csi driver") == "the cluster has no CSI driver none.example"
    assert found.message("key class") == "not checked: csi driver comes first"
    found = Findings(dag, directory, "--secret-key", "--probe=false")
    assert "has no SecretProviderClass melange-key" in found.failed("key class")
    secret_store.put(dag.cluster, dag.namespace, "melange-key", {"other.rsa": b"x"})
    found = Findings(dag, directory, "--secret-key")
    assert found.with_status("failed") == ["key x86_64"]
    assert "no melange.rsa among: other.rsa" in found.failed("key x86_64")
    # The test's driver has no provider.
    assert found.with_status("warning") == ["csi provider"]
    secret_store.put(dag.cluster, dag.namespace, "melange-key", {"melange.rsa": b"x"})
    found = Findings(dag, directory, "--secret-key")
    assert found.code == 0
    assert found.status("key x86_64") == "ok"


def daemon_set(dag: Dag, name: str, image: str) -> None:
    """Make a DaemonSet whose pods tolerate everything, and wait until its controller has seen it."""
    labels = {"app": name}
    spec = {
        "containers": [{"name": "main", "image": image}],
        "terminationGracePeriodSeconds": 0,
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    dag.apply(
        "apps/v1/DaemonSet", name, spec={"selector": {"matchLabels": labels}, "template": template}
    )
    scheduled = "jsonpath={.status.desiredNumberScheduled}=2"
    dag.kubectl("wait", f"--for={scheduled}", f"daemonset/{name}", "--timeout=240s")


@pytest.mark.usefixtures("secret_driver")
def test_a_driver_without_nodes_and_a_provider_that_does_not_run_are_told(
    dag: Dag, directory: Path
) -> None:
    driver = f"{dag.namespace}.example.com"
    dag.apply("storage.k8s.io/v1/CSIDriver", driver, spec={"attachRequired": False})
    try:
        found = Findings(dag, directory, "--secret-key", f"--csi-driver={driver}", "--probe=false")
    finally:
        dag.kubectl("delete", "csidriver", driver)
    assert (
        found.failed("csi driver")
        == f"{driver} is registered on no node, so nothing can be mounted"
    )

    secret_store.put(dag.cluster, dag.namespace, "melange-key", {"melange.rsa": b"x"})
    words = ("--secret-key", "--probe=false")
    assert "no DaemonSet looks like the provider" in Findings(dag, directory, *words).message(
        "csi provider"
    )
    provider = json.loads(dag.kubectl("get", "secretproviderclass", "melange-key", "-o", "json"))[
        "spec"
    ]["provider"]
    name = f"csi-secrets-store-provider-{provider}"
    daemon_set(dag, name, f"{dag.cluster.registry}/none:1")
    found = Findings(dag, directory, *words)
    assert found.code == 0
    assert found.with_status("warning") == ["csi provider"]
    assert found.message("csi provider") == f"{dag.namespace}/{name} runs on 0 of 2 nodes"
    dag.kubectl("set", "image", f"daemonset/{name}", f"main={dag.cluster.registry}/pause:1")
    dag.kubectl("rollout", "status", f"daemonset/{name}", "--timeout=240s")
    found = Findings(dag, directory, *words)
    assert found.with_status("warning") == []
    assert found.message("csi provider") == f"{dag.namespace}/{name} runs on 2 nodes"


def test_a_namespace_that_goes_takes_no_build(dag: Dag, directory: Path, absent: str) -> None:
    dag.kubectl("create", "namespace", absent)
    held = {"name": "held", "namespace": absent, "finalizers": ["example.com/held"]}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": held}
    dag.kubectl("create", "-f-", f"--namespace={absent}", stdin=json.dumps(manifest))
    dag.kubectl("delete", "namespace", absent, "--wait=false")
    found = Findings(dag, directory, "--namespace", absent, "--probe=false")
    let_go = '{"metadata": {"finalizers": null}}'
    dag.kubectl("patch", "configmap/held", f"--namespace={absent}", f"--patch={let_go}")
    assert found.code == 3
    assert found.failed("namespace") == f"namespace {absent} is being deleted"


def test_nodes_that_are_closed_or_busy_are_named_with_what_keeps_the_pod_away(
    dag: Dag, simulated: Cluster, directory: Path, tmp_path: Path
) -> None:
    base = f"{dag.repository}/base:1"
    base_image(tmp_path / "image", ("riscv64",), agent=True)
    skopeo(
        *("copy", "--all", "--dest-tls-verify=false"),
        *(f"oci:{tmp_path / 'image'}", f"docker://{base}"),
    )
    kwok.up(simulated, 1, "riscv64")
    node = "kwok-riscv64-0"

    def message(*words: str) -> str:
        base_and_arch = ("--arch=riscv64", "--bundle-base", base, "--probe=false")
        return Findings(dag, directory, *base_and_arch, *words).message("node riscv64")

    def says(wanted: str) -> None:
        # On a busy machine a simulated node is now and then late, and not ready for a moment.
        eventually(lambda: message() == wanted, wanted, 60)

    says(f"no riscv64 node takes the pod now: {node} (tainted {kwok.TAINT})")
    dag.kubectl("cordon", node)
    says(f"no riscv64 node takes the pod now: {node} (cordoned)")
    dag.kubectl("uncordon", node)
    dag.kubectl("taint", "node", node, f"{kwok.TAINT}-")
    says(f"{node} has room now")
    status = json.loads(dag.kubectl("get", "node", node, "-o", "json"))["status"]
    cpus = status["allocatable"]["cpu"]
    asks = {"requests": {"cpu": cpus}}
    pause = f"{dag.cluster.registry}/pause:1"
    container = {"name": "main", "image": pause, "resources": asks}
    dag.apply("Pod", "all", spec={"nodeName": node, "containers": [container]})
    says(f"{node} is large enough, but busy now: the pod would wait")


def test_a_bucket_is_tried_with_what_its_pods_will_have(dag: Dag, directory: Path) -> None:
    words = ["--bucket-secret=bucket", "--bucket"]
    found = Findings(dag, directory, *words, f"s3://{NAME}", "--probe=false")
    assert "there is no secret bucket" in found.failed("bucket secret")
    with s3() as store:
        dag.apply("Secret", "bucket", stringData=dict(store.secret))
        found = Findings(dag, directory, *words, f"s3://{NAME}", "--src-bucket=s3://absent")
        assert found.code == 0
        assert found.status("bucket x86_64") == "ok"
        assert found.with_status("warning") == ["source bucket x86_64"]
        nothing = "there is no s3://absent: nothing would come from it"
        assert found.message("source bucket x86_64") == nothing
        assert store.files() == []
        with store.opened() as opened:
            opened.create("packages/x86_64/one.apk", b"x")
        found = Findings(dag, directory, *words, "s3://absent", f"--src-bucket=s3://{NAME}")
        assert found.with_status("failed") == ["bucket x86_64"]
        assert found.status("source bucket x86_64") == "ok"
        assert "nothing can be written" in found.failed("bucket x86_64")
    found = Findings(dag, directory, "--bucket=gs://absent", "--probe=false")
    assert found.code == 0
    assert "no iam.gke.io/gcp-service-account" in found.message("service account")
    command = found.checks["service account"]["fix"]
    assert command.startswith(f"kubectl annotate serviceaccount default -n {dag.namespace} iam.gke")
    found.mend(dag, "service account")
    found = Findings(dag, directory, "--bucket=gs://absent", "--probe=false")
    assert found.status("service account") == "ok"


def test_a_node_that_cannot_pull_and_an_image_that_cannot_build_are_found_by_probes(
    dag: Dag, directory: Path
) -> None:
    words = ["--pull-repo", f"{dag.cluster.registry}/elsewhere"]
    found = Findings(dag, directory, *words, "--sdk-image", dag.cluster.base_image)
    assert found.code == 3
    assert found.with_status("failed") == ["pull x86_64", "sdk x86_64"]
    assert f"cannot pull {dag.cluster.registry}/elsewhere@sha256:" in found.failed("pull x86_64")
    assert "--pull-repo" in found.checks["pull x86_64"]["fix"]
    assert found.failed("sdk x86_64").endswith("it has no make")
    found = Findings(dag, directory, "--make-var=MELANGE=/opt/bin/melange")
    assert found.with_status("failed") == ["sdk x86_64"]
    assert found.failed("sdk x86_64").endswith("it has no /opt/bin/melange")
    assert left_behind(dag) == []


def test_a_cluster_out_of_reach_is_told_beside_all_that_can_be_checked(
    dag: Dag, directory: Path, tmp_path: Path
) -> None:
    good = yaml.safe_load(dag.cluster.kubeconfig.read_text())

    def findings(kubeconfig: str) -> Findings:
        path = tmp_path / "kubeconfig"
        path.write_text(kubeconfig)
        found = Findings(dag, directory, "--kubeconfig", path)
        assert found.with_status("failed") == ["api"]
        assert {"namespace", "permissions", "pull x86_64"} < {*found.with_status("skipped")}
        assert {"bundle", "push"} < {*found.with_status("ok")}
        return found

    server = good["clusters"][0]["cluster"]["server"]
    found = findings(json.dumps(good).replace(server, "https://127.0.0.1:1"))
    assert found.code == 3
    assert "https://127.0.0.1:1: cannot connect" in found.failed("api")
    assert "kubectl cluster-info" in found.checks["api"]["fix"]
    found = findings(json.dumps(good).replace(good["users"][0]["user"]["token"], "garbage"))
    assert found.code == 3
    assert "does not accept the credentials" in found.failed("api")
    found = findings("[1, 2]")
    assert found.code == 2
    assert "this is no kubeconfig" in found.failed("api")


def test_wrong_definitions_end_with_2_and_the_cluster_is_checked_all_the_same(
    dag: Dag, directory: Path
) -> None:
    found = Findings(dag, directory, "three")
    assert found.code == 2
    assert found.with_status("failed") == ["definitions"]
    assert 'package "three" not found' in found.failed("definitions")
    assert found.status("namespace") == found.status("push") == "ok"
    assert found.message("pod x86_64") == "not checked: definitions comes first"
    (directory / "one.yaml").write_text("package:\n  name: one\n  name: two\n")
    found = Findings(dag, directory, "two")
    assert found.code == 2
    assert "one.yaml:3" in found.failed("definitions")
    for name in ("one", "two"):
        (directory / f"{name}.yaml").unlink()
    found = Findings(dag, directory)
    assert found.code == 2
    assert "has no package definitions" in found.failed("definitions")


def test_an_interrupt_takes_the_probes_away(dag: Dag, directory: Path) -> None:
    with socket.create_server((dag.cluster.host_address, 0)) as silent:
        silent.settimeout(60)
        host, port = silent.getsockname()
        repository = f"{host}:{port}/never"
        running = dag.run("dag", "doctor", "-v", "-d", directory, "--pull-repo", repository)
        running.await_line("dag-probe-")
        with silent.accept()[0]:  # the node asks for the image, so the probe runs
            running.signal(signal.SIGINT)
            done = running.end()
    assert done.returncode == 130
    assert "interrupted" in done.stderr
    assert left_behind(dag) == []
