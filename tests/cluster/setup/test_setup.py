"""`dag setup` on the real Kubernetes makes every object, nothing more, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster, emulation, secret_store
from tests.support.cluster.images import busybox_image
from tests.support.cluster.running import Dag, Done, definitions
from tests.support.keys import private_key

pytestmark = pytest.mark.cluster

KEY = private_key()
DRIVER = ("serviceaccount/dag-driver", "role/dag-driver", "rolebinding/dag-driver")
MADE = ("serviceaccount/builder", *DRIVER, "role/dag", "rolebinding/dag")


def setup(dag: Dag, *words: str | Path) -> Done:
    return dag("setup", "cluster", "--service-account=builder", "--user=limited", *words)


def outcomes(done: Done) -> list[str]:
    """Return the outcome of each step."""
    lines = [line for line in done.stderr.splitlines() if line.endswith(")")]
    return [line.rpartition("(")[2].removesuffix(")") for line in lines]


def get(dag: Dag, thing: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dag.kubectl("get", thing, "-o", "json"))
    return found


def exists(dag: Dag, thing: str) -> bool:
    return bool(dag.kubectl("get", thing, "--ignore-not-found"))


def test_every_object_is_there_and_a_second_run_changes_none(dag: Dag) -> None:
    words = ("--annotation=iam.gke.io/gcp-service-account=a@b", "--group=builders")
    done = setup(dag, *words)
    assert done.returncode == 0, done.stderr
    assert outcomes(done) == [
        "somebody else made it, so it stays as it is",
        *("changed", "made", "changed"),
        *("made" for _ in (*DRIVER, "role/dag", "rolebinding/dag")),
    ]
    assert f"ready: dag pod --namespace={dag.namespace} --service-account=builder" in done.stderr
    labels = get(dag, f"namespace/{dag.namespace}")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    account = get(dag, "serviceaccount/builder")["metadata"]
    assert account["annotations"] == {"iam.gke.io/gcp-service-account": "a@b"}
    assert [one["name"] for one in get(dag, "rolebinding/dag")["subjects"]] == [
        "limited",
        "builders",
    ]
    before = [get(dag, thing) for thing in MADE]
    again = setup(dag, *words)
    assert again.returncode == 0, again.stderr
    assert set(outcomes(again)[1:]) == {"there already"}
    assert [get(dag, thing) for thing in MADE] == before


def test_the_network_of_builds_can_be_closed(dag: Dag) -> None:
    words = ("--close-network", "--reach=10.1.2.0/24")
    done = setup(dag, *words)
    assert done.returncode == 0, done.stderr
    policy = get(dag, "networkpolicy/dag")["spec"]
    assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/managed-by": "dag"}
    assert policy["policyTypes"] == ["Egress"]
    public, _, _, own = (one["ipBlock"] for one in policy["egress"][1]["to"])
    assert "169.254.0.0/16" in public["except"]
    assert own == {"cidr": "10.1.2.0/24"}
    # Who drives a build asks the API server, and has another policy besides.
    (chosen,) = get(dag, "networkpolicy/dag-driver")["spec"]["podSelector"]["matchExpressions"]
    assert chosen == {"key": "dag/driver", "operator": "Exists"}
    assert setup(dag, *words, "--undo", "--yes").returncode == 0
    assert not exists(dag, "networkpolicy/dag")
    assert not exists(dag, "networkpolicy/dag-driver")


def test_undoing_leaves_what_was_there_and_nothing_else(dag: Dag) -> None:
    dag.kubectl("create", "role", "other", "--verb=get", "--resource=pods")
    before = get(dag, f"namespace/{dag.namespace}")["metadata"]["labels"]
    default = get(dag, "serviceaccount/default")
    annotated = ("--service-account=default", "--annotation=a=b")
    assert setup(dag).returncode == setup(dag, *annotated).returncode == 0
    assert get(dag, "serviceaccount/default")["metadata"]["annotations"] == {"a": "b"}
    undone = setup(dag, "--undo", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert setup(dag, *annotated, "--undo", "--yes").returncode == 0
    assert [thing for thing in MADE if exists(dag, thing)] == []
    assert exists(dag, "role/other")
    assert get(dag, f"namespace/{dag.namespace}")["metadata"]["labels"] == before
    after = get(dag, "serviceaccount/default")
    assert after["metadata"]["uid"] == default["metadata"]["uid"]
    assert not after["metadata"].get("annotations")


@pytest.fixture
def own(dag: Dag) -> Iterator[str]:
    """Return the name of a namespace that `dag` may make."""
    name = f"{dag.namespace}-own"
    yield f"--namespace={name}"
    dag.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def test_a_namespace_of_its_own_goes_with_all_that_is_in_it(dag: Dag, own: str) -> None:
    assert setup(dag, own).returncode == 0
    assert exists(dag, f"namespace/{dag.namespace}-own")
    undone = setup(dag, own, "--undo", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert not exists(dag, f"namespace/{dag.namespace}-own")
    assert set(outcomes(setup(dag, own, "--undo", "--yes"))) == {"not there"}


def test_the_script_does_and_undoes_the_same(dag: Dag, own: str) -> None:
    words = (own, "--annotation=a=b")
    script = setup(dag, *words, "--print").stdout
    for _ in range(2):
        shell(dag, script)
    assert set(outcomes(setup(dag, *words))) == {"there already"}
    shell(dag, setup(dag, *words, "--undo", "--print").stdout)
    assert not exists(dag, f"namespace/{dag.namespace}-own")


def test_the_script_leaves_a_namespace_that_was_there(dag: Dag) -> None:
    before = get(dag, f"namespace/{dag.namespace}")["metadata"]
    words = ("--annotation=a=b", "--print")
    shell(dag, setup(dag, *words).stdout)
    labels = get(dag, f"namespace/{dag.namespace}")["metadata"]["labels"]
    assert labels == before["labels"] | {"pod-security.kubernetes.io/enforce": "privileged"}
    shell(dag, setup(dag, *words, "--undo").stdout)
    after = get(dag, f"namespace/{dag.namespace}")["metadata"]
    assert (after["uid"], after["labels"]) == (before["uid"], before["labels"])
    assert [thing for thing in MADE if exists(dag, thing)] == []


@pytest.mark.parametrize("wrong", ["uid", "resourceVersion"])
def test_the_server_refuses_to_delete_what_was_not_seen(dag: Dag, wrong: str) -> None:
    dag.kubectl("create", "serviceaccount", "seen")
    found = get(dag, "serviceaccount/seen")["metadata"]
    seen = {key: found[key] for key in ("uid", "resourceVersion")}
    path = f"/api/v1/namespaces/{dag.namespace}/serviceaccounts/seen"
    options = {"kind": "DeleteOptions", "apiVersion": "v1"}
    for preconditions, there in ((seen | {wrong: "1"}, True), (seen, False)):
        body = json.dumps({**options, "preconditions": preconditions})
        subprocess.run(
            [dag.cluster.kubectl, "delete", "--raw", path, "-f", "-"],
            env=dag.environment,
            input=body,
            text=True,
            capture_output=True,
            check=not there,
        )
        assert exists(dag, "serviceaccount/seen") is there


def shell(dag: Dag, script: str) -> None:
    environment = dag.environment
    environment["PATH"] = f"{dag.cluster.kubectl.parent}:{environment['PATH']}"
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_somebody_else_has_decided_is_not_overruled(dag: Dag) -> None:
    dag.kubectl("label", "namespace", dag.namespace, "pod-security.kubernetes.io/enforce=baseline")
    done = setup(dag)
    assert done.returncode == 3
    assert 'conflict with "kubectl-label"' in done.stderr
    assert "another field manager has set this" in done.stderr
    assert not exists(dag, "serviceaccount/builder")


def test_with_the_role_dag_builds_and_may_do_nothing_more(dag: Dag, tmp_path: Path) -> None:
    assert setup(dag).returncode == 0
    limited = dag.cluster.limited_kubeconfig
    words = ("--kubeconfig", limited, "--service-account=builder", "--out", tmp_path / "out")
    done = dag.pod(definitions(tmp_path / "d"), *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/x86_64/two-1.10-r2.apk").exists()
    allowed = dag.kubectl(f"--kubeconfig={limited}", "auth", "can-i", "--list", "--no-headers")
    mine = [line.split() for line in allowed.splitlines() if "selfsubject" not in line]
    granted = {line[0]: " ".join(line[1:]) for line in mine if not line[0].startswith(("[", "/"))}
    assert granted == {
        "pods": "[] [] [create get list watch delete]",
        "pods/log": "[] [] [get]",
        "pods/proxy": "[] [] [get]",
        "events": "[] [] [list watch]",
        "jobs.batch": "[] [] [create get list watch delete]",
        "leases.coordination.k8s.io": "[] [] [get create patch]",
        "persistentvolumeclaims": "[] [] [get]",
        "serviceaccounts": "[] [] [get]",
        "localqueues.kueue.x-k8s.io": "[] [] [get]",
        "workloads.kueue.x-k8s.io": "[] [] [list]",
    }


@pytest.mark.parametrize(
    ("rule", "verb", "named"),
    [
        *((0, verb, f"{verb} pods") for verb in ("create", "get", "list", "watch", "delete")),
        (1, "get", "get pods/log"),
        (2, "get", "get pods/proxy"),
    ],
)
def test_no_verb_of_the_role_is_too_much(
    dag: Dag, tmp_path: Path, rule: int, verb: str, named: str
) -> None:
    assert setup(dag).returncode == 0
    role = get(dag, "role/dag")
    role["rules"][rule]["verbs"].remove(verb)
    if not role["rules"][rule]["verbs"]:
        del role["rules"][rule]
    dag.kubectl("replace", "-f", "-", stdin=json.dumps(role))
    words = ("--kubeconfig", dag.cluster.limited_kubeconfig, "--out", tmp_path / "out")
    done = dag.pod(definitions(tmp_path / "d"), *words)
    assert done.returncode == 3
    assert f"no permission in namespace '{dag.namespace}' to {named}\n" in done.stderr
    assert f'"metadata":{{"name":"dag","namespace":"{dag.namespace}"}}' in done.stderr


INSTALL = """\
test "$*" = "--install all" || exit 2
place=/proc/sys/fs/binfmt_misc
[ -e $place/status ] || { mount -t binfmt_misc binfmt_misc $place; trap "umount $place" EXIT; }
cat /format >$place/register
exit 0
"""
"""A script like the real image's for one architecture: it unmounts its mount, and never fails."""


def test_programs_of_another_architecture_run_on_every_node(
    dag: Dag, no_emulation: None, tmp_path: Path
) -> None:
    registry = dag.cluster.registry
    qemu, line = emulation.qemu("aarch64")
    (tmp_path / "format").write_text(line)
    files = {"format": tmp_path / "format", str(qemu).lstrip("/"): qemu}
    config = {"Entrypoint": ["sh", "-c", INSTALL, "binfmt"]}
    digest = busybox_image(dag.cluster, tmp_path, "binfmt", files=files, config=config)
    words = ("--binfmt", f"--binfmt-image={registry}/binfmt@{digest}")
    done = setup(dag, *words)
    assert done.returncode == 0, done.stderr
    status = get(dag, "daemonset/dag-binfmt")["status"]
    assert status["numberReady"] == status["desiredNumberScheduled"] >= 2

    busybox = emulation.programs("aarch64", "busybox-static") / "bin/busybox"
    digest = busybox_image(dag.cluster, tmp_path, "foreign", architecture="arm64", busybox=busybox)
    image = f"{registry}/foreign@{digest}"
    for node in dag.cluster.nodes:
        spec = {"nodeName": node, "restartPolicy": "Never"}
        container = {"name": "machine", "image": image, "command": ["uname", "-m"]}
        dag.apply("Pod", f"on-{node}", spec={**spec, "containers": [container]})
        ended = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
        dag.kubectl("wait", f"--for={ended}", f"pod/on-{node}", "--timeout=240s")
        assert dag.kubectl("logs", f"on-{node}") == "aarch64\n"

    assert setup(dag, *words, "--undo", "--yes").returncode == 0
    assert not exists(dag, "daemonset/dag-binfmt")


@pytest.fixture
def key_driver(cluster: Cluster, secret_driver: None) -> Iterator[None]:
    """Have two DaemonSets with the names of the real driver's and its provider's."""
    for name, tolerations in (("csi-secrets-store", []), ("csi-secrets-store-provider-gcp", None)):
        cluster.run_kubectl("apply", "--filename=-", stdin=json.dumps(daemonset(name, tolerations)))
    yield
    names = ("csi-secrets-store", "csi-secrets-store-provider-gcp")
    cluster.run_kubectl("delete", "daemonset", "--namespace=kube-system", *names)


def daemonset(name: str, tolerations: list[Any] | None) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "c", "image": "none", "command": ["none"]}
    spec: dict[str, Any] = {"nodeSelector": {"none": "such"}, "containers": [container]}
    if tolerations is not None:
        spec["tolerations"] = [*tolerations, {"key": "mine", "operator": "Exists"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def deliver(dag: Dag, content: str) -> None:
    """Give the test's driver the files of the class; the class itself is made by `dag`."""
    secret_store.put(dag.cluster, dag.namespace, "melange-key", {"melange.rsa": content.encode()})
    dag.kubectl("delete", "secretproviderclass", "melange-key")


@pytest.mark.usefixtures("key_driver")
def test_the_signing_key_reaches_pods_or_it_is_said_why_not(dag: Dag) -> None:
    words = ("--secret-key", "--project=shop", "--pending-timeout=60s")
    deliver(dag, KEY)
    done = setup(dag, *words)
    assert done.returncode == 0, done.stderr
    assert outcomes(done)[-2:] == ["made", "passed"]
    assert "eyes" not in done.stderr + done.stdout
    made = get(dag, "secretproviderclass/melange-key")["spec"]
    assert made["provider"] == "gcp"
    (secret,) = json.loads(made["parameters"]["secrets"])
    assert secret["resourceName"] == "projects/shop/secrets/melange-signing-key/versions/latest"
    assert dag.pods() == []
    deliver(dag, "not a key: for nobody's eyes")
    wrong = setup(dag, *words)
    assert wrong.returncode == 3
    assert (
        "must find the signing key: /var/secrets/melange.rsa holds no private key" in wrong.stderr
    )
    assert "eyes" not in wrong.stderr + wrong.stdout
    assert dag.pods() == []
    assert setup(dag, *words, "--undo", "--yes").returncode == 0
    assert not exists(dag, "secretproviderclass/melange-key")
    # The class is gone, and without a project nobody makes it.
    shutil.rmtree(dag.cluster.directory / "secrets" / dag.namespace)
    missing = setup(dag, "--secret-key", "--pending-timeout=5s")
    assert missing.returncode == 3
    assert '"melange-key" not found' in missing.stderr
    assert dag.pods() == []


@pytest.mark.usefixtures("key_driver")
def test_driver_and_provider_are_let_onto_arm_nodes(dag: Dag) -> None:
    deliver(dag, KEY)
    names = ("csi-secrets-store", "csi-secrets-store-provider-gcp")
    before = [tolerations(dag, name) for name in names]
    words = ("--secret-key", "--project=shop", "--arm", "--pending-timeout=20s")
    for _ in range(2):
        done = setup(dag, *words)
        assert done.returncode == 3  # no node here is arm64
        assert (
            "on a node of arm64 must find the signing key: it did not end within 20 s: not scheduled"
            in (done.stderr)
        )
        assert "a pod on a node of amd64 must find the signing key (passed)" in done.stderr
        added = {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64"}
        for name, had in zip(names, before, strict=True):
            assert tolerations(dag, name) == [*had, {**added, "effect": "NoSchedule"}]
    assert setup(dag, *words, "--undo", "--yes").returncode == 0
    assert [tolerations(dag, name) for name in names] == before


def tolerations(dag: Dag, name: str) -> list[dict[str, str]]:
    described = dag.kubectl("get", "daemonset", name, "--namespace=kube-system", "-o", "json")
    return list(json.loads(described)["spec"]["template"]["spec"].get("tolerations", []))


def test_a_server_that_does_not_answer_ends_undoing_at_once(dag: Dag, tmp_path: Path) -> None:
    config = json.loads(dag.cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "config").write_text(json.dumps(config))
    done = setup(dag, "--kubeconfig", tmp_path / "config", "--undo", "--yes")
    assert done.returncode == 3
    assert done.stderr.count("cannot connect") == 2  # the notice and the error
