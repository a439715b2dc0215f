"""`dag setup gke` and `kind` from start to undo: the cloud is a stand-in, Kubernetes is real."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster import secret_store
from tests.cluster.setup.test_setup import KEY, deliver, exists, get, outcomes
from tests.support.cluster.running import Dag, Done
from tests.support.faults import Origin
from tests.support.standins.programs import Standins

pytestmark = pytest.mark.cluster

DRIVER = "/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy"
PROVIDER = (
    "/GoogleCloudPlatform/secrets-store-csi-driver-provider-gcp/v1.15.0/deploy/"
    "provider-gcp-plugin.yaml"
)


@dataclass
class Cloud:
    """`dag setup` with the test's own programs, and a kubeconfig that these write."""

    dag: Dag
    place: Path
    standins: Standins

    def setup(self, *words: str | Path) -> Done:
        return self.run(sys.executable, "-m", "dag", "setup", *words)

    def run(self, *command: str | Path) -> Done:
        environment = {
            **self.dag.environment,
            **self.standins.environment,
            "KUBECONFIG": str(self.place / "kubeconfig"),
            "STANDIN_KUBECONFIG": str(self.dag.cluster.kubeconfig),
            "DAG_SERVICE_ACCOUNT": "builder",
        }
        environment["PATH"] += f":{self.dag.cluster.kubectl.parent}"
        return subprocess.run(
            [*map(str, command)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=self.place,
        )


@pytest.fixture
def cloud(dag: Dag, tmp_path: Path) -> Iterator[Cloud]:
    with Standins(tmp_path / "standins") as standins:
        yield Cloud(dag, tmp_path, standins)


def undone(cloud: Cloud) -> dict[str, Any]:
    """Return what is left in the cloud, without kinds of things of which there are none."""
    return {kind: things for kind, things in cloud.standins.world.items() if things}


def test_gke_is_made_once_and_taken_away(cloud: Cloud) -> None:
    words = ("gke", "--project=shop", "--zone=europe-west4-a", "--bucket=apks", "--user=limited")
    done = cloud.setup(*words)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"dag: ready: dag pod --project=shop --namespace={cloud.dag.namespace}"
        " --service-account=builder --bucket=apks"
    )
    made = cloud.standins.changes()
    assert exists(cloud.dag, "rolebinding/dag")
    annotations = get(cloud.dag, "serviceaccount/builder")["metadata"]["annotations"]
    email = "dag-builds@shop.iam.gserviceaccount.com"
    assert annotations == {"iam.gke.io/gcp-service-account": email}
    world = cloud.standins.world
    roles = [
        binding.split(",")[0]
        for kind in ("projects", "storage buckets", "secrets", "artifacts repositories")
        for thing in world.get(kind, {}).values()
        for binding in thing.get("bindings", [])
        if email in binding
    ]
    assert roles == ["roles/storage.objectUser"]  # on that bucket, and on nothing else
    again = cloud.setup(*words)
    assert again.returncode == 0, again.stderr
    assert [call.argv[3] for call in cloud.standins.changes()] == ["get-credentials"]
    assert set(outcomes(again)) == {
        *("there already", "done", "somebody else made it, so it stays as it is"),
    }
    taken = cloud.setup(*words, "--undo", "--yes")
    assert taken.returncode == 0, taken.stderr
    assert not exists(cloud.dag, "serviceaccount/builder")
    removed = cloud.standins.changes()
    assert [call.argv for call in removed if "clusters" in call.argv][-1] == (
        *("gcloud", "container", "clusters", "delete", "dag"),
        *("--zone=europe-west4-a", "--project=shop", "--quiet"),
    )
    left = undone(cloud)
    assert left.pop("storage buckets") == {"apks": {"name": "apks", "bindings": []}}
    assert left.pop("services")
    assert left == {"projects": {"shop": {"bindings": []}}}
    # What is gone already is passed over.
    assert cloud.setup(*words, "--undo", "--yes").returncode == 0
    assert cloud.standins.changes() == []
    # The printed script makes the same calls in the same order, and none the second time.
    script = cloud.setup(*words, "--print").stdout
    credentials = [call for call in made if "get-credentials" in call.argv]
    # The bucket and the APIs are still there.
    kept = ("buckets create", "services enable")
    anew = [call for call in made if not any(words in str(call) for words in kept)]
    for expected in (anew, credentials):
        ran = cloud.run("sh", "-c", script)
        assert ran.returncode == 0, ran.stderr
        assert cloud.standins.changes() == expected
    assert cloud.run("sh", "-c", cloud.setup(*words, "--undo", "--print").stdout).returncode == 0
    assert set(undone(cloud)) == {"storage buckets", "services", "projects"}
    assert not exists(cloud.dag, "serviceaccount/builder")


def test_undoing_goes_on_where_it_broke_off(cloud: Cloud) -> None:
    words = ("gke", "--project=shop", "--region=us-east1", "--src-bucket=old")
    made = cloud.standins.directory / "bin" / "gcloud"
    cloud.run(made, "storage", "buckets", "create", "gs://old", "--project=shop")
    assert cloud.setup(*words).returncode == 0
    cloud.standins.fail("repositories delete", saying="ERROR: the repository is locked")
    first = cloud.setup(*words, "--undo", "--yes")
    assert first.returncode == 3
    assert "these steps were not undone: Repository gcr.io/shop: bundles go there" in first.stderr
    assert set(undone(cloud)) == {
        *("artifacts repositories", "services", "storage buckets", "projects"),
    }
    second = cloud.setup(*words, "--undo", "--yes")
    assert second.returncode == 0, second.stderr
    assert "the cluster is gone, and with it what was in it" in second.stderr
    assert "artifacts repositories" not in undone(cloud)


def test_what_was_in_the_project_before_stays(cloud: Cloud) -> None:
    gcloud = cloud.standins.directory / "bin" / "gcloud"
    where = ("--project=shop", "--zone=z")
    cloud.run(gcloud, "container", "clusters", "create", "dag", *where)
    cloud.run(
        *(gcloud, "artifacts", "repositories", "create", "gcr.io", "--location=us"),
        *("--repository-format=docker", "--project=shop"),
    )
    assert cloud.setup("gke", *where).returncode == 0
    taken = cloud.setup("gke", *where, "--undo", "--yes")
    assert taken.returncode == 0, taken.stderr
    assert set(undone(cloud)) >= {"container clusters", "artifacts repositories"}
    assert "iam service-accounts" not in undone(cloud)
    assert not exists(cloud.dag, "serviceaccount/builder")


@pytest.mark.usefixtures("secret_driver")
def test_gke_with_a_signing_key_and_a_driver_from_its_published_manifests(cloud: Cloud) -> None:
    key = cloud.place / "melange.rsa"
    key.write_text(KEY)
    deliver(cloud.dag, KEY)
    with Origin() as origin:
        publish(origin, cloud.dag)
        words = (
            *("gke", "--project=shop", "--zone=z", f"--signing-key={key}"),
            *(f"--manifests={origin.url}", "--pending-timeout=60s"),
        )
        done = cloud.setup(*words)
        assert done.returncode == 0, done.stderr
        assert done.stderr.endswith(" --service-account=builder --secret-key\n")
        # What somebody else had installed is still there.
        foreign = "csidriver.yaml (somebody else made it, so it stays as it is)"
        assert foreign in done.stderr
        assert exists(cloud.dag, "daemonset/provider")
        calls = [f"{call} {call.stdin}" for call in cloud.standins.calls()]
        assert [call for call in calls if "eyes" in call] == []
        assert "eyes" not in done.stderr + done.stdout
        versions = cloud.standins.world["secrets"]["melange-signing-key"]["versions"]
        assert versions == [len(KEY)]
        again = cloud.setup(*words)
        assert again.returncode == 0, again.stderr
        assert [call.argv[3] for call in cloud.standins.changes()] == ["get-credentials"]
        taken = cloud.setup(*words, "--undo", "--yes")
        assert taken.returncode == 0, taken.stderr
    assert not exists(cloud.dag, "daemonset/provider")
    assert not exists(cloud.dag, "configmap/published")
    assert cloud.dag.cluster.run_kubectl("get", "csidriver", "secrets-store.csi.k8s.io")
    assert "secrets" not in undone(cloud)


def publish(origin: Origin, dag: Dag) -> None:
    """Serve manifests with the same names as the driver's, which are small enough for this cluster."""
    metadata = {"name": "published", "namespace": dag.namespace}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    for name in ("rbac-secretproviderclass", "secrets-store-csi-driver"):
        put(origin, f"{DRIVER}/{name}.yaml", config_map)
    put(origin, f"{DRIVER}/csidriver.yaml", secret_store._DRIVER)
    kinds = "secrets-store.csi.x-k8s.io_secretproviderclass"
    put(origin, f"{DRIVER}/{kinds}es.yaml", secret_store._CLASSES)
    put(origin, f"{DRIVER}/{kinds}podstatuses.yaml", secret_store._CLASSES)
    labels = {"app": "provider"}
    stay = {"name": "stay", "image": dag.cluster.base_image, "command": ["sleep", "100000"]}
    daemonset = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "provider", "namespace": dag.namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [stay]},
            },
        },
    }
    put(origin, PROVIDER, config_map, daemonset)


def put(origin: Origin, path: str, *objects: dict[str, Any]) -> None:
    origin.put(path, "\n---\n".join(map(json.dumps, objects)).encode())


@pytest.mark.xdist_group("local-registry-hosting")
def test_kind_is_made_once_and_taken_away(cloud: Cloud) -> None:
    done = cloud.setup("kind")
    assert done.returncode == 0, done.stderr
    assert f"dag pod --bundle-repo=localhost:5001/dag --namespace={cloud.dag.namespace}" in (
        done.stderr
    )
    calls = cloud.standins.changes()
    (created,) = (call for call in calls if call.argv[:3] == ("kind", "create", "cluster"))
    assert 'config_path = "/etc/containerd/certs.d"' in created.stdin
    containers: Any = cloud.standins.world["containers"]
    assert containers["kind-registry"]["networks"] == ["bridge", "kind"]
    hosts = '[host."http://kind-registry:5000"]\n'
    assert containers["dag-control-plane"]["files"] == {
        "/etc/made-by": "made by dag setup",
        "/etc/containerd/certs.d/localhost:5001/hosts.toml": hosts,
        "/etc/containerd/certs.d/kind-registry:5000/hosts.toml": hosts,
    }
    announced = cloud.dag.cluster.run_kubectl(
        *("get", "configmap", "local-registry-hosting", "--namespace=kube-public"),
        *("--output=jsonpath={.data.localRegistryHosting\\.v1}",),
    )
    assert 'host: "localhost:5001"' in announced
    again = cloud.setup("kind")
    assert again.returncode == 0, again.stderr
    assert [str(call) for call in cloud.standins.changes()] == ["kind export kubeconfig --name=dag"]
    taken = cloud.setup("kind", "--undo", "--yes")
    assert taken.returncode == 0, taken.stderr
    assert undone(cloud) == {}
    assert [call.argv[1] for call in cloud.standins.changes()] == ["export", "delete", "rm"]
    script = cloud.setup("kind", "--print").stdout
    ran = cloud.run("sh", "-c", script)
    assert ran.returncode == 0, ran.stderr
    assert [call for call in cloud.standins.changes() if "exec" not in call.argv] == [
        call for call in calls if "exec" not in call.argv
    ]
    again = cloud.setup("kind")
    assert [str(call) for call in cloud.standins.changes()] == ["kind export kubeconfig --name=dag"]
    assert cloud.run("sh", "-c", cloud.setup("kind", "--undo", "--print").stdout).returncode == 0
    assert undone(cloud) == {}


@pytest.mark.xdist_group("local-registry-hosting")
def test_a_kind_cluster_that_was_there_stays(cloud: Cloud) -> None:
    kind = cloud.standins.directory / "bin" / "kind"
    created = subprocess.run(
        [kind, "create", "cluster", "--name=mine", "--config=-"],
        env={**cloud.dag.environment, **cloud.standins.environment},
        input="kind: Cluster",
        text=True,
        check=False,
    )
    assert created.returncode == 0
    assert cloud.setup("kind", "--cluster=mine").returncode == 0
    taken = cloud.setup("kind", "--cluster=mine", "--undo", "--yes")
    assert taken.returncode == 0, taken.stderr
    assert "Cluster mine (somebody else made it, so it stays as it is)" in taken.stderr
    assert set(undone(cloud)) == {"clusters", "containers"}
    assert not exists(cloud.dag, "serviceaccount/builder")
