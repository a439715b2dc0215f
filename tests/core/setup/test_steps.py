"""The steps of `dag setup` as data: the object, whether it is as wanted, and who owns it."""

from __future__ import annotations

from typing import Any

import pytest

from dag.core.pod import permissions
from dag.core.setup import steps as setup
from dag.core.setup import tolerating
from dag.core.setup.gke import bucket_url
from dag.errors import UsageError

ARM = {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}


def daemonset(*tolerations: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {
        "kind": "DaemonSet",
        "metadata": {"name": "d", "resourceVersion": "7", "generation": 2, "labels": labels},
        "spec": {"template": {"spec": {"tolerations": list(tolerations)}}},
    }


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("v1/Namespace", "/api/v1/namespaces/x"),
        ("v1/ConfigMap", "/api/v1/namespaces/n/configmaps/x"),
        ("apps/v1/DaemonSet", "/apis/apps/v1/namespaces/n/daemonsets/x"),
        ("storage.k8s.io/v1/CSIDriver", "/apis/storage.k8s.io/v1/csidrivers/x"),
    ],
)
def test_an_object_has_its_path(kind: str, path: str) -> None:
    api, _, kind = kind.rpartition("/")
    manifest = {"apiVersion": api, "kind": kind, "metadata": {"name": "x", "namespace": "n"}}
    assert setup.object_path(manifest) == path


def test_a_kind_that_nobody_asked_for_is_refused() -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}
    assert setup.object_path(manifest) == "/api/v1/namespaces/default/secrets/x"
    with pytest.raises(UsageError, match="Secret x: dag setup does not know this kind"):
        setup.require_published_kind(manifest)
    manifest["kind"] = "Ingress"
    with pytest.raises(UsageError, match="Ingress x: dag setup does not know this kind"):
        setup.object_path(manifest)


@pytest.mark.parametrize(
    ("found", "wanted", "answer"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, False),
        ([{"n": 1, "x": 0}, {"n": 2}], [{"n": 2}], True),
        ([{"n": 1}], [{"n": 2}], False),
        ("1", 1, False),
        (None, {"a": 1}, False),
    ],
)
def test_an_object_contains_what_was_applied(found: object, wanted: object, answer: bool) -> None:
    assert setup.contains(found, wanted) is answer


@pytest.mark.parametrize(
    ("toleration", "answer"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "kubernetes.io/arch", "operator": "Exists"}, True),
        ({"key": "kubernetes.io/arch", "value": "arm64"}, True),
        ({"key": "kubernetes.io/arch", "value": "arm64", "effect": "NoExecute"}, False),
        ({"key": "kubernetes.io/arch", "value": "amd64", "effect": "NoSchedule"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations_are_read_as_the_scheduler_reads_them(
    toleration: dict[str, Any], answer: bool
) -> None:
    assert tolerating.tolerates(daemonset(toleration), ARM) is answer


def test_a_toleration_is_added_and_taken_away_again() -> None:
    other = {"key": "mine", "operator": "Exists"}
    before = daemonset(other, app="d")
    version, labels, tolerations = tolerating.patch_adding_toleration(before, ARM)
    assert version == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    after = daemonset(*tolerations["value"], **labels["value"])
    assert tolerating.tolerates(after, ARM)
    removal = tolerating.patch_removing_toleration(after, ARM)
    assert removal is not None
    assert [change["value"] for change in removal[1:]] == [{"app": "d"}, [other]]
    assert tolerating.patch_removing_toleration(before, ARM) is None  # not ours to remove


def test_a_daemonset_is_ready_when_every_node_runs_its_newest_pod() -> None:
    found = daemonset()
    done = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 2}
    found["status"] = {"observedGeneration": 2, **done}
    assert setup.is_ready(found)
    for key in ("observedGeneration", "updatedNumberScheduled", "numberReady"):
        assert not setup.is_ready({**found, "status": {**found["status"], key: 1}})


def test_rules_name_each_resource_once() -> None:
    pod = permissions.permissions_for_pod(follow=True, out=False)
    assert permissions.role_rules([*pod, *pod, *permissions.SECRET_KEY]) == [
        {
            "apiGroups": [""],
            "resources": ["pods"],
            "verbs": ["create", "get", "list", "watch", "delete"],
        },
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {
            "apiGroups": ["secrets-store.csi.x-k8s.io"],
            "resources": ["secretproviderclasses"],
            "verbs": ["get"],
        },
    ]


@pytest.mark.parametrize("name", ["apks", "gs://apks", "gs://apks/wolfi/x86_64"])
def test_a_bucket_is_one_however_it_is_written(name: str) -> None:
    assert bucket_url(name) == "gs://apks"


@pytest.mark.parametrize("name", ["s3://apks", "gs://", "az://a/b"])
def test_a_bucket_of_another_cloud_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not a bucket of Google Cloud"):
        bucket_url(name)
