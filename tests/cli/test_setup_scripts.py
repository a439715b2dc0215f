"""The printed scripts that undo, run with programs that refuse: they delete what they saw to be ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dag.core.setup import steps
from tests.cli.test_setup import dag
from tests.support.standins.programs import Standins
from tests.support.standins.world import Call

RBAC = "rbac.authorization.k8s.io/v1"
WORDS = ("cluster", "--context=here", "-n", "builds", "--service-account=builder", "--user=ann")
SECRET = ("--secret-key", "--project=shop")
CLASS = ("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass", "melange-key")
FAILURES = {
    "an empty answer": "",
    "Forbidden": 'Error from server (Forbidden): namespaces "builds" is forbidden',
    "no network": "Unable to connect to the server: dial tcp 192.0.2.1:443: i/o timeout",
    "an expired login": "error: You must be logged in to the server (Unauthorized)",
    "no discovery": 'error: the server doesn\'t have a resource type "namespace"',
    "half an answer": "Error from server (NotFound): a\nError from server (Forbidden): b",
}


def made(api: str, kind: str, name: str, namespace: str = "builds", owner: str = "dag") -> Any:
    metadata = {
        "name": name,
        "uid": f"uid-of-{kind}",
        "resourceVersion": "7",
        "labels": {steps.OWNER_LABEL: owner} if owner else {},
        "managedFields": [{"manager": "somebody"}, {"manager": steps.MANAGER}],
        **({"namespace": namespace} if namespace else {}),
    }
    return {"apiVersion": api, "kind": kind, "metadata": metadata}


class Undoing:
    """A world with what was set up, and the script that takes it away."""

    def __init__(self, place: Path, standins: Standins) -> None:
        self.place = place
        self.standins = standins
        namespace = made("v1", "Namespace", "builds", namespace="")
        namespace["metadata"]["managedFields"].append({"manager": steps.GUEST})
        self.objects = [
            namespace,
            made("v1", "ServiceAccount", "builder"),
            made(RBAC, "Role", "dag"),
            made(RBAC, "RoleBinding", "dag"),
        ]

    def run(self, *words: str, undo: tuple[str, ...] = ("--undo",)) -> tuple[int, str]:
        script = dag(*(words or WORDS), *undo, "--print", place=self.place)
        assert script.returncode == 0, script.stderr
        self.standins.world["objects"] = self.objects
        done = subprocess.run(
            ["sh", "-c", script.stdout],
            env=os.environ | self.standins.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=self.place,
        )
        return done.returncode, done.stdout + done.stderr

    def left(self) -> list[str]:
        return [one["kind"] for one in self.standins.world["objects"]]

    def deletions(self) -> list[Call]:
        calls = self.standins.calls()
        assert calls, "the stand-ins were not asked"
        return [call for call in calls if {"delete", "apply", "rm"} & set(call.argv)]


@pytest.fixture
def undoing(tmp_path: Path) -> Iterator[Undoing]:
    names = ("gcloud", "kind", "docker", "kubectl")
    with Standins(tmp_path / "standins", names=names) as standins:
        yield Undoing(tmp_path, standins)


def test_what_is_ours_goes_and_is_said_before(undoing: Undoing) -> None:
    code, said = undoing.run()
    assert (code, undoing.left()) == (0, []), said
    assert said.splitlines()[:4] == [
        "this is ours and goes: rolebinding dag -n builds",
        "this is ours and goes: role dag -n builds",
        "this is ours and goes: serviceaccount builder -n builds",
        "this is ours and goes: namespace builds",
    ]


@pytest.mark.parametrize("named", ["rolebinding", "serviceaccount", "namespace"])
@pytest.mark.parametrize("saying", FAILURES.values(), ids=FAILURES)
def test_a_look_that_fails_ends_the_script_and_nothing_is_deleted(
    undoing: Undoing, named: str, saying: str
) -> None:
    undoing.standins.fail(f"get {named} ", saying=saying)
    code, said = undoing.run()
    assert code == 1
    assert undoing.deletions() == []
    assert f"nothing more is done: {named} " in said
    assert saying in said


@pytest.mark.parametrize("saying", FAILURES.values(), ids=FAILURES)
def test_nothing_gets_our_mark_if_nobody_knows_whose_it_is(undoing: Undoing, saying: str) -> None:
    undoing.standins.fail("get namespace ", saying=saying)
    code, said = undoing.run(undo=())
    assert code == 1
    assert undoing.deletions() == []
    assert "nothing more is done: namespace builds" in said


def test_without_kubectl_it_ends_with_an_error(undoing: Undoing) -> None:
    (undoing.standins.directory / "bin/kubectl").write_text("#!/bin/sh\nexit 127\n")
    code, said = undoing.run()
    assert code == 1
    assert "nothing more is done: rolebinding dag" in said


def test_what_is_not_found_is_passed_over(undoing: Undoing) -> None:
    for _ in range(2):  # the look, and the one before the deletion
        undoing.standins.fail(
            "get role dag ", saying='Error from server (NotFound): "dag" not found'
        )
    code, said = undoing.run()
    assert code == 0, said
    assert undoing.left() == ["Role"]


def test_a_cluster_that_never_had_the_driver_is_undone(undoing: Undoing) -> None:
    for _ in range(2):
        undoing.standins.fail(
            "get secretproviderclass",
            saying='error: the server doesn\'t have a resource type "secretproviderclass"',
        )
    code, said = undoing.run(*WORDS, *SECRET)
    assert (code, undoing.left()) == (0, []), said


def test_what_only_has_our_label_stays(undoing: Undoing) -> None:
    undoing.objects[0]["metadata"]["managedFields"] = [{"manager": "somebody"}]
    code, said = undoing.run()
    assert (code, undoing.left()) == (0, ["Namespace"]), said
    assert "namespace builds is somebody else's and stays as it is" in said


@pytest.mark.parametrize("owner", ["", "helm", "dag2", "x dag"])
def test_what_has_not_our_mark_stays(undoing: Undoing, owner: str) -> None:
    undoing.objects[0] = made("v1", "Namespace", "builds", namespace="", owner=owner)
    code, said = undoing.run()
    assert (code, undoing.left()) == (0, ["Namespace"]), said
    assert "namespace builds is somebody else's and stays as it is" in said


def test_a_pod_and_a_class_of_somebody_else_stay(undoing: Undoing) -> None:
    undoing.objects = [
        made("v1", "Pod", "dag-secret-test", owner=""),
        made(*CLASS, owner="flux"),
    ]
    code, said = undoing.run(*WORDS, *SECRET)
    assert (code, undoing.left()) == (0, ["Pod", "SecretProviderClass"]), said


def test_what_changes_after_the_look_is_not_deleted(undoing: Undoing) -> None:
    undoing.standins.fail("delete --raw", saying="Error from server (Conflict): modified")
    code, said = undoing.run()
    assert code != 0
    assert "Conflict" in said
    assert len(undoing.left()) == 4
    for call in undoing.deletions():
        wanted = {"uid": "uid-of-RoleBinding", "resourceVersion": "7"}
        assert json.loads(call.stdin)["preconditions"] == wanted


@pytest.mark.parametrize("name", ["gke", "kind"])
@pytest.mark.parametrize("saying", ["", "ERROR: Reauthentication failed."])
def test_a_cloud_that_does_not_answer_ends_the_script(
    undoing: Undoing, name: str, saying: str
) -> None:
    words = {"gke": ("gke", "--project=p", "--zone=z"), "kind": ("kind",)}[name]
    for program in ("gcloud", "docker", "kind"):
        path = undoing.standins.directory / "bin" / program
        path.write_text(f"#!/bin/sh\necho '{saying}' >&2\nexit 1\n")
    code, said = undoing.run(*words)
    assert code == 1
    assert "whose it is cannot be seen, so nothing is deleted" in said
    assert saying in said
    assert len(undoing.left()) == 4


def test_the_script_finds_every_kind_where_the_api_has_it() -> None:
    for kind, (plural, _) in steps._KINDS.items():
        name = kind.lower()
        regular = f"{name}es" if name.endswith("s") else f"{name}s"
        assert plural == (f"{name[:-1]}ies" if name.endswith("y") else regular)
