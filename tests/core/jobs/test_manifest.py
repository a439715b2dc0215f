"""What a unit's Job asks for: rights, places and memory, and that its parts cannot reach each other's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from dag.core.build.events import ComputeResources
from dag.core.build.proxies import ProxyOptions
from dag.core.jobs.capacity import requests_of
from dag.core.jobs.claims import Claim
from dag.core.jobs.driver import driver_job
from dag.core.jobs.manifest import JobSettings, agent_job, unit_job
from dag.core.jobs.names import attempt_of
from dag.core.kube.objects import is_made_of
from dag.core.pod.pieces import builder_fields, proxy_variables
from dag.core.pod.scheduling import NodeLabel, SchedulingOptions, Toleration
from dag.core.store.buckets import Bucket
from tests.support.orders import SETTINGS, order

Json = dict[str, Any]
RESOURCES = ComputeResources(1500, 3 << 30, 5 << 30)
IN_BUCKET = replace(SETTINGS, store=Bucket.parse("s3://bucket/wolfi"), bucket_secret="bucket")


def job(settings: JobSettings = SETTINGS) -> Json:
    return unit_job(settings, order(), RESOURCES)


def pod(manifest: Json) -> Json:
    return dict(manifest["spec"]["template"]["spec"])


def container(manifest: Json, name: str) -> Json:
    spec = pod(manifest)
    found = [*spec.get("initContainers", ()), *spec["containers"]]
    return next(one for one in found if one["name"] == name)


def mounts(manifest: Json, name: str) -> dict[str, bool]:
    """Return the volumes that a container has, and whether it may only read each."""
    listed = container(manifest, name)["volumeMounts"]
    return {one["name"]: one.get("readOnly", False) for one in listed}


def test_the_build_has_neither_the_store_nor_what_the_agent_keeps() -> None:
    assert mounts(job(), "build") == {"unit": False, "cache": False, "tmp": False, "pipes": True}
    assert "envFrom" not in container(job(IN_BUCKET), "build")
    assert pod(job())["automountServiceAccountToken"] is False


def test_the_agent_reads_what_was_built_and_cannot_change_it() -> None:
    found = mounts(job(), "collect")
    assert (found["unit"], found["tmp"], found["pipes"], found["store"]) == (
        True,
        True,
        True,
        False,
    )
    assert mounts(job(), "prepare")["store"] is True
    security = container(job(), "collect")["securityContext"]
    assert security["runAsNonRoot"]
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", ["prepare", "collect"])
def test_only_agents_have_the_secret_of_a_bucket(name: str) -> None:
    found = container(job(IN_BUCKET), name)
    assert found["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    assert "--store=s3://bucket/wolfi" in found["args"]
    assert "store" not in mounts(job(IN_BUCKET), name)


def test_a_folder_of_a_claim_is_a_place_on_its_volume() -> None:
    assert "--store=/dag-store/wolfi" in container(job(), "collect")["args"]
    assert (
        "--store=/dag-store"
        in container(job(replace(SETTINGS, store=Claim("a"))), "collect")["args"]
    )


def test_what_a_build_may_have_of_memory_is_what_it_asks_for() -> None:
    resources = container(job(), "build")["resources"]
    assert resources["limits"] == {"memory": resources["requests"]["memory"]}
    assert requests_of(pod(job()), "build") == RESOURCES
    assert "ephemeral-storage" not in resources["limits"]


def test_a_job_without_privilege_is_in_a_user_namespace_and_another_one_is_named() -> None:
    assert pod(job())["hostUsers"] is False
    assert container(job(), "build")["securityContext"].get("privileged") is None
    named = job(replace(SETTINGS, confined=False))
    assert container(named, "build")["securityContext"] == {"privileged": True}


@pytest.mark.parametrize("confined", [True, False])
def test_agents_have_no_capability_and_a_build_the_same_as_in_a_pod(confined: bool) -> None:
    settings = replace(SETTINGS, confined=confined, cache_bundle="registry.example.com/cache:1")
    for name in ("prepare", "populate-cache", "collect"):
        rights = container(job(settings), name)["securityContext"]
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
    build = container(job(settings), "build")["securityContext"]
    assert build == builder_fields("/tmp", confined=confined)["securityContext"]


PROXIES = proxy_variables(ProxyOptions(proxy="http://a.example:1", no_proxy=(".b.example",)))


def test_agents_builds_and_drivers_know_the_proxy_and_that_the_cluster_is_none_of_its_matter() -> (
    None
):
    proxied = replace(SETTINGS, proxies=PROXIES)
    driver = driver_job(proxied, ["words"], "mark")
    listing = agent_job(proxied, "dag-list", "list-store", [])
    for manifest, name in (
        *((job(proxied), name) for name in ("prepare", "build", "collect")),
        *((listing, "agent"), (driver, "driver")),
    ):
        variables = {one["name"]: one["value"] for one in container(manifest, name)["env"]}
        for spelt in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            assert variables[spelt] == "http://a.example:1"
        assert variables["no_proxy"] == variables["NO_PROXY"]
        excepted = variables["no_proxy"].split(",")
        assert {"localhost", "127.0.0.1", "::1", ".svc", ".cluster.local"} < {*excepted}
        assert {"$(KUBERNETES_SERVICE_HOST)", ".b.example"} < {*excepted}
    cached = job(replace(proxied, cache_bundle="registry.example.com/cache@sha256:3"))
    assert "env" not in container(cached, "populate-cache")


def test_a_job_ends_by_itself_and_is_one_attempt() -> None:
    spec = job()["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["ttlSecondsAfterFinished"] > 0
    assert attempt_of(job()) == ("Catch2", 1)


def test_a_job_in_a_queue_waits_and_one_in_none_does_not() -> None:
    queued = job(replace(SETTINGS, queue="builds"))
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "builds"
    assert queued["spec"]["suspend"] is True
    assert queued["spec"]["template"] == job()["spec"]["template"]
    assert "suspend" not in job()["spec"]


def test_agents_and_units_are_on_the_nodes_that_the_flags_name() -> None:
    options = SchedulingOptions(node_labels=(NodeLabel("pool", "builds"),), pull_secrets=("pull",))
    settings = replace(SETTINGS, scheduling=options)
    for one in (job(settings), agent_job(settings, "dag-list", "list-store", ())):
        assert pod(one)["nodeSelector"]["pool"] == "builds"
        assert pod(one)["imagePullSecrets"] == [{"name": "pull"}]


def test_the_same_attempt_is_the_same_job_and_another_one_is_told_apart() -> None:
    assert job() == job()
    assert is_made_of(job(), job())
    other = unit_job(SETTINGS, order(), msgspec.structs.replace(RESOURCES, ram=1 << 30))
    assert not is_made_of(other, job())


def test_the_agent_of_a_store_has_no_privilege() -> None:
    listed = agent_job(SETTINGS, "dag-list", "list-store", ["--arch=x86_64"])
    assert pod(listed)["hostUsers"] is False
    assert container(listed, "agent")["args"][:2] == ["list-store", "--store=/dag-store/wolfi"]
    assert attempt_of(listed) is None


def test_where_builds_are_in_no_user_namespace_no_agent_is_in_one_and_none_has_a_right() -> None:
    # Not every file system can be mounted there, and older clusters have none.
    listed = agent_job(replace(SETTINGS, confined=False), "dag-list", "list-store", [])
    assert "hostUsers" not in pod(listed)
    assert container(listed, "agent")["securityContext"]["runAsNonRoot"]
    assert container(listed, "agent")["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_time_that_an_attempt_may_take_limits_no_agent_of_the_store() -> None:
    limited = replace(SETTINGS, timeout=60.0)
    assert pod(job(limited))["activeDeadlineSeconds"] == 60
    assert "activeDeadlineSeconds" not in pod(agent_job(limited, "dag-list", "list-store", []))


def test_a_job_of_a_small_environment_is_small() -> None:
    # It is in etcd twice, with the Pod that is made of it.
    assert len(json.dumps(job())) < 8_000


def test_a_node_that_does_not_answer_is_waited_for_a_minute_unless_the_flags_say_longer() -> None:
    waits = {
        one["key"]: one["tolerationSeconds"]
        for one in pod(job())["tolerations"]
        if one["effect"] == "NoExecute"
    }
    keys = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert waits == dict.fromkeys(keys, 60)
    mine = Toleration.parse("node.kubernetes.io/unreachable")
    named = job(replace(SETTINGS, scheduling=SchedulingOptions(tolerations=(mine,))))
    found = [one for one in pod(named)["tolerations"] if one["key"] == mine.key]
    assert found == [{"key": mine.key, "operator": "Exists"}]
