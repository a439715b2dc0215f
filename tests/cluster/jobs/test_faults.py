"""Whatever the cluster does to units and their store is named as what it was, and the run converges."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from dag.core.build.events import ComputeResources
from dag.core.jobs.capacity import requests_of
from tests.support.cluster.admission import refusing
from tests.support.cluster.images import plain_http
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import Dag, Done, job
from tests.support.faults import FaultProxy
from tests.support.kubeconfigs import plugin
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster
SLOW = "echo building; sleep 12"


def require_converged(jobs: Jobs, done: Done, *packages: str) -> None:
    """Hold a run to its promise: everything is there, and nothing else is left in the cluster."""
    assert done.returncode == 0, done.stderr
    assert {path.parents[1].name for path in jobs.records()} == set(packages)
    assert {path.name for path in (jobs.store / "x86_64").glob("*.apk")} == {
        f"{name}-1-r0.apk" for name in packages
    }
    assert jobs.jobs() == []


def test_what_quota_and_admission_refuse_is_told_and_built_when_they_permit_it(jobs: Jobs) -> None:
    jobs.define(fine="true", refused="true")
    jobs.add("large", extra="  resources:\n    memory: 3Gi\n")
    jobs.dag.quota({"limits.memory": "2Gi"})
    jobs.dag.limit(memory="256Mi")
    with refusing(jobs.dag, "refused", "no such package on this cluster"):
        running = jobs.start("--max-ram=4Gi")
        running.await_line(r"large: the Job cannot make its pod: .*exceeded quota: small")
        running.await_line(r"refused: the Job cannot make its pod: .*no such package on this")
    jobs.dag.kubectl("delete", "resourcequota", "small")
    require_converged(jobs, running.end(), "fine", "large", "refused")
    # It was waited for, and nothing was tried again.
    assert jobs.logs() == ["fine.log", "large.log", "refused.log"]


def test_an_image_that_cannot_be_pulled_is_told_and_pulled_when_it_can(jobs: Jobs) -> None:
    jobs.define(one="true")
    registry, image = jobs.dag.cluster.sdk_image.split("/", 1)
    with FaultProxy(f"http://{registry}") as proxy, plain_http(jobs.dag.cluster, proxy.port):
        # The client sees the image, and no node does.
        node = ("User-Agent", "containerd")
        proxy.on(path="/manifests/", header=node, times=None).answer(503)
        running = jobs.start(f"--sdk-image=127.0.0.1:{proxy.port}/{image}")
        words = running.await_line(r"one: container build: cannot pull .*")[0]
        assert "503" in words
        proxy.clear()
        require_converged(jobs, running.end(), "one")
    assert jobs.logs() == ["one.log"]


def test_a_volume_that_cannot_be_mounted_is_told_and_mounted_when_it_can(jobs: Jobs) -> None:
    jobs.define(first=SLOW)
    jobs.add("second", "first")
    running = jobs.start()
    jobs.await_build("first")
    # What is mounted already stays so.
    away = jobs.store.rename(jobs.store.with_name(f"{jobs.store.name}-away"))
    running.await_line(r"second: FailedMount: .*is not a directory")
    away.rename(jobs.store)
    require_converged(jobs, running.end(), "first", "second")
    assert jobs.logs() == ["first.log", "second.log"]


def test_pods_that_are_evicted_or_drained_are_built_again(jobs: Jobs) -> None:
    jobs.define(evicted=SLOW, drained=SLOW)
    running = jobs.start()
    evicted, drained = (jobs.await_build(name) for name in ("evicted", "drained"))
    jobs.dag.evict(evicted["metadata"]["name"])
    chosen = f"--pod-selector=job-name={drained['metadata']['labels']['job-name']}"
    node = drained["spec"]["nodeName"]
    try:
        jobs.dag.kubectl("drain", node, chosen, "--force", "--delete-emptydir-data")
    finally:
        jobs.dag.kubectl("uncordon", node)
    done = running.end()
    require_converged(jobs, done, "evicted", "drained")
    for name, pod in (("evicted", evicted), ("drained", drained)):
        where = pod["spec"]["nodeName"]
        assert f"{name}: the pod was evicted (a drain of node {where}?)" in done.stderr
        assert f"{name}.attempt-2.log" in jobs.logs()


def test_an_agent_that_is_evicted_is_followed_by_another(jobs: Jobs) -> None:
    jobs.define(one="true")
    away = jobs.store.rename(jobs.store.with_name(f"{jobs.store.name}-away"))  # so it waits
    running = jobs.start()
    running.await_line(r"FailedMount: .*is not a directory")
    jobs.dag.evict(jobs.dag.pod_json()["metadata"]["name"])
    words = running.await_line(r"the agent could not tell what the store has: .*")[0]
    assert words.endswith("; another one tries")
    assert "the pod was evicted" in words
    away.rename(jobs.store)
    require_converged(jobs, running.end(), "one")


def test_a_build_over_its_share_of_the_disk_is_evicted_and_tried_again(jobs: Jobs) -> None:
    jobs.dag.limit(ephemeral_storage="300Mi")
    jobs.define(full="[ -e /tmp/x ] || fallocate -l 900M /tmp/x; sleep 60")
    running = jobs.start()
    words = running.await_line(r"full: the node evicted the pod: .*")[0]
    assert "exceeds the total limit of containers 600Mi" in words
    jobs.dag.limit(ephemeral_storage="2Gi")
    require_converged(jobs, running.end(), "full")


def test_a_store_that_nobody_may_write_is_named_before_anything_is_built(jobs: Jobs) -> None:
    jobs.define(one="true")
    jobs.store.chmod(0o755)
    done = jobs.build()
    assert done.returncode == 3, done.stderr
    assert "the agent could not tell what the store has: " in done.stderr
    assert "Permission denied" in done.stderr
    assert jobs.jobs() == []


def test_a_store_that_refuses_what_was_built_is_told_and_tried_until_it_takes_that(
    jobs: Jobs,
) -> None:
    jobs.define(one=SLOW)
    running = jobs.start()
    jobs.await_build("one")
    places = [path for path in (jobs.store, *jobs.store.rglob("*")) if path.is_dir()]
    modes = {path: path.stat() for path in places}
    for path in places:
        path.chmod(0o555)
    running.await_line(r"one: the store cannot be written, trying again: .*Permission denied")
    for path, mode in modes.items():
        path.chmod(mode.st_mode & 0o777)
    require_converged(jobs, running.end(), "one")
    assert jobs.logs() == ["one.log"]


@pytest.mark.usefixtures("alone")
def test_a_lost_node_is_named_and_costs_jobs_no_package_and_keeps_no_pod_of_theirs(
    jobs: Jobs, tmp_path: Path
) -> None:
    # A build in one pod is lost with the same node, because a node takes minutes to be lost.
    dag, cluster = jobs.dag, jobs.dag.cluster
    jobs.define(one="echo building; sleep 40")
    whole = dag.start(job(tmp_path / "whole", "echo running; exec sleep 600\n"))
    whole.await_line(r"\[build\] running")
    node = dag.pod_json()["spec"]["nodeName"]
    (other,) = (name for name in cluster.nodes if name != node)
    dag.kubectl("cordon", other)
    try:
        running = jobs.start()
        jobs.await_build("one")
    finally:
        dag.kubectl("uncordon", other)
    cluster.stop_node(node)
    try:
        running.await_line(rf"one: node {node} stopped answering")
        assert (is_ready(dag, node), is_ready(dag, other)) == ("Unknown", "True")
        done, ended = running.end(), whole.end()
    finally:
        cluster.start_node(node)
    # The node is lost to Kubernetes alone: what runs there may still come to its end, and counts then.
    require_converged(jobs, done, "one")
    assert "building one 1-r0 (attempt 2)" in done.stderr
    assert ended.returncode == 3, ended.stderr
    assert f"node {node} does not answer; Kubernetes waits for it" in ended.stderr
    assert f"node {node} stopped answering" in ended.stderr
    last = [line.strip() for line in ended.stderr.splitlines() if line.startswith("    ")]
    assert last == ["running"]
    dag.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=240s")
    cluster.wait_until_ready()


@pytest.mark.usefixtures("alone")
def test_a_unit_whose_node_is_short_of_disk_is_evicted_and_built_elsewhere_with_more(
    jobs: Jobs,
) -> None:
    dag, cluster = jobs.dag, jobs.dag.cluster
    other, node = cluster.nodes  # the store is on the disk of the first one
    jobs.define(full="echo building; sleep 60")
    dag.kubectl("cordon", other)
    try:
        running = jobs.start("--disk=1Gi")
        pod = jobs.await_build("full")
    finally:
        dag.kubectl("uncordon", other)
    assert pod["spec"]["nodeName"] == node
    place = cluster.directory / node / "disk"
    disk = shutil.disk_usage(place)
    size = disk.free - disk.total // 20
    try:
        # The file system of the node believes that, and the disk of the machine has no part in it.
        jobs.look_into(pod, f"fallocate -l {size} /tmp/large")
        words = running.await_line(r"full: the node evicted the pod: .*")[0]
        assert "The node was low on resource: ephemeral-storage" in words
        again = jobs.await_build("full")
        done = running.end()
    finally:
        eventually(lambda: shutil.disk_usage(place).free > size, "the node has room again", 60)
        cluster.restart_kubelet(node)  # else it would take no pod for five minutes
        cluster.wait_until_ready()
        taints = ("get", "node", node, "-o", "jsonpath={.spec.taints}")
        eventually(lambda: not dag.kubectl(*taints), "the node takes pods again", 60)
    assert again["spec"]["nodeName"] == other
    require_converged(jobs, done, "full")
    assert requests_of(again["spec"], "build") == ComputeResources(100, 256 << 20, 2 << 30)


def is_ready(dag: Dag, node: str) -> str:
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    return dag.kubectl("get", "node", node, "-o", f"jsonpath={path}")


@pytest.mark.usefixtures("alone")
def test_an_api_server_that_starts_again_and_a_cluster_that_forgets_cost_nothing(
    jobs: Jobs,
) -> None:
    jobs.define(one=SLOW)
    jobs.add("two", "one", runs=SLOW)
    running = jobs.start()
    jobs.await_build("one")
    jobs.dag.cluster.restart_apiserver()
    jobs.await_build("two")
    path = f"/apis/batch/v1/namespaces/{jobs.dag.namespace}/jobs"
    before = json.loads(jobs.dag.kubectl("get", "--raw", path))["metadata"]["resourceVersion"]
    for number in range(3):  # else there would be nothing to forget
        jobs.dag.apply("ConfigMap", f"changed-{number}")
    jobs.dag.cluster.restart_apiserver(compacting=True)
    watched = f"{path}?watch=1&timeoutSeconds=5&resourceVersion={before}"
    assert '"code":410' in jobs.dag.kubectl("get", "--raw", watched)
    require_converged(jobs, running.end(), "one", "two")
    assert jobs.logs() == ["one.log", "two.log"]


@pytest.mark.usefixtures("alone")
def test_a_pod_that_is_preempted_is_built_again(jobs: Jobs) -> None:
    jobs.define(one=SLOW)
    running = jobs.start("--cpu=1")
    node = jobs.await_build("one")["spec"]["nodeName"]
    name = f"urgent-{jobs.dag.namespace}"
    jobs.dag.apply("scheduling.k8s.io/v1/PriorityClass", name, value=1000)
    try:
        jobs.dag.apply("Pod", "urgent", spec=urgent(jobs, name, node))
        done = running.end()
    finally:
        jobs.dag.kubectl("delete", "priorityclass", name)
    require_converged(jobs, done, "one")
    assert "one: the pod was preempted by one of higher priority" in done.stderr
    assert jobs.logs() == ["one.attempt-2.log", "one.log"]


def urgent(jobs: Jobs, priority: str, node: str) -> dict[str, object]:
    """Return what a pod is that leaves no room for a build on this node."""
    return {
        "priorityClassName": priority,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "urgent",
                "image": jobs.dag.cluster.base_image,
                "command": ["true"],
                "resources": {"requests": {"cpu": "1500m"}},
            }
        ],
    }


def test_a_token_that_expires_is_asked_for_anew(jobs: Jobs, tmp_path: Path) -> None:
    dag, config = jobs.dag, tmp_path / "kubeconfig"
    who = f"system:serviceaccount:{dag.namespace}:driver"
    dag.kubectl("create", "serviceaccount", "driver")
    permitted = dag("setup", "cluster", f"--user={who}")
    assert permitted.returncode == 0, permitted.stderr
    credential, asked = tmp_path / "credential", tmp_path / "asked"
    described = yaml.safe_load(dag.cluster.kubeconfig.read_text())
    user = plugin(tmp_path / "plugin", f"echo asked >>{asked}\ncat {credential}")
    for one in described["users"]:
        one["user"] = user
    config.write_text(yaml.safe_dump(described))
    first = renew(dag, "first", credential)
    jobs.define(one=SLOW)
    jobs.add("two", "one")
    running = jobs.start(f"--kubeconfig={config}")
    jobs.await_build("one")
    # A token that is bound to a Secret is worth nothing without that.
    renew(dag, "second", credential)
    dag.kubectl("delete", "secret", "first")
    told = asked.read_text()
    eventually(lambda: not is_welcome(dag, first), "the first token is refused", 60)
    require_converged(jobs, running.end(), "one", "two")
    assert len(asked.read_text()) > len(told)


def renew(dag: Dag, name: str, credential: Path) -> str:
    """Let a credential plugin print another token, which lives as long as the Secret of that name."""
    dag.apply("Secret", name)
    bound = ("--bound-object-kind=Secret", f"--bound-object-name={name}")
    token = dag.kubectl("create", "token", "driver", *bound).strip()
    api = "client.authentication.k8s.io/v1"
    said = {"apiVersion": api, "kind": "ExecCredential", "status": {"token": token}}
    credential.write_text(json.dumps(said))
    return token


def is_welcome(dag: Dag, token: str) -> bool:
    """Return whether the API server takes this token, and no other credential."""
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    said = dag.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
    return bool(json.loads(said)["status"].get("authenticated"))
