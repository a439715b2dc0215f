"""The cluster of the other tests keeps its own promises."""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from cluster import Cluster, ClusterError, kwok
from tests.support.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster

_FREE = {"privileged": True}
_USERNS = {
    "procMount": "Unmasked",
    "runAsUser": 1000,
    "seccompProfile": {"type": "Unconfined"},
}


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """Make a namespace for the test, in which pods can be created at once."""
    name = f"cluster-{time.time_ns():x}"
    cluster.run_kubectl("create", "namespace", name)
    _eventually(lambda: _exists(cluster, name, "serviceaccount/default"))
    yield name
    cluster.run_kubectl("delete", "namespace", name, "--wait=false")


def test_privileged_pod_builds_a_sandbox_with_bubblewrap(cluster: Cluster, namespace: str) -> None:
    script = "bwrap --unshare-all --dev-bind / / sh -c 'ls /proc/self/ns; echo inside'"
    pod = _run(cluster, namespace, script, image=cluster.sdk_image, security=_FREE)
    assert (pod["phase"], _log(cluster, namespace)[-1]) == ("Succeeded", "inside")


def test_unprivileged_pod_in_a_user_namespace_does_too(cluster: Cluster, namespace: str) -> None:
    sandbox = "bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev echo inside"
    script = f"cat /proc/self/uid_map; {sandbox}"
    pod = _run(
        cluster, namespace, script, image=cluster.sdk_image, security=_USERNS, hostUsers=False
    )
    mapping, inside = _log(cluster, namespace)
    assert pod["phase"] == "Succeeded"
    assert inside == "inside"
    first, outside, count = map(int, mapping.split())
    assert (first, count) == (0, 65536)
    assert outside > 0


def test_process_over_its_memory_limit_is_oom_killed(cluster: Cluster, namespace: str) -> None:
    limits = {"limits": {"memory": "32Mi"}}
    pod = _run(cluster, namespace, "exec tail /dev/zero", resources=limits)
    ended = pod["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_pod_over_its_size_limit_is_evicted(cluster: Cluster, namespace: str) -> None:
    volumes = [{"name": "full", "emptyDir": {"sizeLimit": "10Mi"}}]
    script = "dd if=/dev/zero of=/full/file bs=1M count=50; sleep 300"
    mounts = [{"name": "full", "mountPath": "/full"}]
    pod = _run(cluster, namespace, script, volumes=volumes, mounts=mounts)
    assert (pod["phase"], pod["reason"]) == ("Failed", "Evicted")


def test_pod_asking_for_ephemeral_storage_fits(cluster: Cluster, namespace: str) -> None:
    wanted = {"requests": {"ephemeral-storage": "4Gi"}}
    assert _run(cluster, namespace, "true", resources=wanted)["phase"] == "Succeeded"


def test_server_in_a_pod_answers_through_the_api_server(cluster: Cluster, namespace: str) -> None:
    script = "echo hello >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"
    _create(cluster, namespace, script)
    url = f"/api/v1/namespaces/{namespace}/pods/pod:8080/proxy/"
    ready = ("--for=condition=Ready", "--timeout=240s")
    cluster.run_kubectl("wait", *ready, "pod/pod", "--namespace", namespace)
    _eventually(lambda: _answers(cluster, url))
    assert cluster.run_kubectl("get", "--raw", url) == "hello\n"


def test_pod_reaches_a_server_on_the_host_and_the_api(cluster: Cluster, namespace: str) -> None:
    handler = http.server.SimpleHTTPRequestHandler
    with serving(handler, host=cluster.host_address) as port:
        ask = r"printf 'HEAD /nothing HTTP/1.0\r\n\r\n'"
        script = f"{ask} | nc -w 5 {cluster.host_address} {port} | head -n 1; "
        script += "nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null && echo api"
        _run(cluster, namespace, script)
    answer, api = _log(cluster, namespace)
    assert "404" in answer
    assert api == "api"


def test_limited_user_may_do_nothing(cluster: Cluster) -> None:
    config = f"--kubeconfig={cluster.limited_kubeconfig}"
    command = [str(cluster.kubectl), config, "get", "pods"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert 'User "limited" cannot list resource "pods"' in refused.stderr


def test_only_a_node_that_is_there_can_be_stopped(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no node is called 'node-c'; there are node-a, node-b"):
        cluster.stop_node("node-c")


@pytest.mark.usefixtures("alone")
def test_restarted_api_server_has_forgotten_old_versions(cluster: Cluster, namespace: str) -> None:
    listed = json.loads(cluster.run_kubectl("get", "--raw", "/api/v1/pods"))
    version = listed["metadata"]["resourceVersion"]
    cluster.run_kubectl("create", "configmap", "later", "--namespace", namespace)
    cluster.restart_apiserver()
    path = f"/api/v1/pods?watch=1&timeoutSeconds=2&resourceVersion={version}"
    assert '"code":410' in cluster.run_kubectl("get", "--raw", path)


def test_simulated_node_ends_pods_as_their_annotations_say(
    simulated: Cluster, namespace: str
) -> None:
    kwok.up(simulated, 1, "arm64")
    told = '{"type":"ended"}'
    status = _run(
        simulated,
        namespace,
        "never runs",
        annotations={"kwok/duration": "500ms", "kwok/exit-code": "7", "kwok/message": told},
        nodeSelector={"kubernetes.io/arch": "arm64"},
        tolerations=[{"key": kwok.TAINT, "operator": "Exists"}],
    )
    assert status["phase"] == "Failed"
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["message"]) == (7, told)
    assert _log(simulated, namespace) == ["simulated"]
    kwok.down(simulated)
    assert "kwok" not in simulated.run_kubectl("get", "nodes")


def _create(
    cluster: Cluster,
    namespace: str,
    script: str,
    *,
    image: str = "",
    security: dict[str, object] | None = None,
    resources: dict[str, object] | None = None,
    mounts: list[dict[str, object]] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: object,
) -> None:
    container = {
        "name": "main",
        "image": image or cluster.base_image,
        "command": ["sh", "-c", script],
        "securityContext": security or {},
        "resources": resources or {},
        "volumeMounts": mounts or [],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", "namespace": namespace, "annotations": annotations or {}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            **spec,
        },
    }
    cluster.run_kubectl("create", "--filename=-", stdin=json.dumps(pod))


def _run(cluster: Cluster, namespace: str, script: str, **options: Any) -> dict[str, Any]:
    """Run a pod with `script` to its end, and return its status."""
    _create(cluster, namespace, script, **options)
    status: dict[str, Any] = {}

    def ended() -> bool:
        text = cluster.run_kubectl("get", "pod", "pod", "-o", "json", "--namespace", namespace)
        status.update(json.loads(text)["status"])
        return status["phase"] in {"Succeeded", "Failed"}

    _eventually(ended)
    return status


def _log(cluster: Cluster, namespace: str) -> list[str]:
    return cluster.run_kubectl("logs", "pod", "--namespace", namespace).splitlines()


def _exists(cluster: Cluster, namespace: str, name: str) -> bool:
    return bool(
        cluster.run_kubectl("get", name, "--ignore-not-found", "-o", "name", "-n", namespace)
    )


def _answers(cluster: Cluster, url: str) -> bool:
    with contextlib.suppress(ClusterError):
        cluster.run_kubectl("get", "--raw", url)
        return True
    return False


def _eventually(condition: Any, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.3)
