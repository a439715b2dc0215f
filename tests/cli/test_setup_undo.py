"""`dag setup cluster` and `--undo`, on an API server of the test's own: what is ours, and who is asked."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dag.core.setup import steps
from tests.support import commands
from tests.support.apiserver import ApiServer
from tests.support.kubeconfigs import kubeconfig

pytestmark = pytest.mark.long
PLACE = "/api/v1/namespaces/builds"
ACCOUNT = f"{PLACE}/serviceaccounts/builder"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/builds"
ROLE, BINDING = f"{RBAC}/roles/dag", f"{RBAC}/rolebindings/dag"
DRIVER = [
    f"{PLACE}/serviceaccounts/dag-driver",
    f"{RBAC}/roles/dag-driver",
    f"{RBAC}/rolebindings/dag-driver",
]
ENFORCE = "pod-security.kubernetes.io/enforce"
MINE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "builds", "labels": {"team": "a"}},
}


@dataclass
class Bench:
    """`dag setup cluster` with a kubeconfig for the server."""

    server: ApiServer
    place: Path
    named: tuple[str, ...] = ("--namespace=builds",)

    def __call__(self, *words: str) -> tuple[int, str]:
        done = self.run(*words)
        return done.returncode, done.stderr

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return commands.dag(*self.command(*words), environment=self.environment(), cwd=self.place)

    def command(self, *words: str) -> list[str]:
        flags = [*self.named, "--service-account=builder", "--user=ann"]
        return ["setup", "cluster", *flags, *words]

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DAG_")}
        return clean | {"KUBECONFIG": str(self.place / "config")}

    def typed(self, answer: str, *words: str) -> tuple[int, str]:
        """Run it on a terminal, on which somebody types this."""
        ours, theirs = pty.openpty()
        os.write(ours, answer.encode())
        process = subprocess.Popen(
            [sys.executable, "-m", "dag", *self.command(*words)],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            cwd=self.place,
            env=self.environment() | {"PYTHONPATH": str(Path("src").resolve())},
        )
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # it has ended, and nobody holds the other end
                break
        os.close(ours)
        return process.wait(timeout=60), said.decode()


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Bench]:
    with ApiServer() as server:
        kubeconfig(tmp_path / "config", server.url)
        yield Bench(server, tmp_path)


def test_what_was_made_is_listed_and_taken_away(setup: Bench) -> None:
    code, said = setup("--annotation=a=b")
    made = sorted([PLACE, ACCOUNT, ROLE, BINDING, *DRIVER])
    assert (code, sorted(setup.server.objects)) == (0, made), said
    code, said = setup("--annotation=a=b", "--undo", "--yes")
    assert (code, setup.server.objects) == (0, {}), said
    listed = said.partition("this is ours and goes:\n")[2].splitlines()
    assert listed[:9] == [
        "  RoleBinding builds/dag",
        "  Role builds/dag",
        "  RoleBinding builds/dag-driver",
        "  Role builds/dag-driver",
        "  ServiceAccount builds/dag-driver",
        "  what `dag setup` added to ServiceAccount builds/builder",
        "  ServiceAccount builds/builder",
        "  what `dag setup` added to Namespace builds",
        "  Namespace builds, with all that is in it",
    ]
    code, said = setup("--undo", "--yes")
    assert code == 0
    assert "there is nothing to take away" in said


def test_a_namespace_that_was_there_is_never_ours(setup: Bench) -> None:
    setup.server.put(PLACE, MINE)
    before = setup.server.get(PLACE)
    assert setup()[0] == 0
    assert setup.server.get(PLACE)["metadata"]["labels"] == {"team": "a", ENFORCE: "privileged"}
    code, said = setup("--undo", "--yes")
    assert code == 0, said
    assert list(setup.server.objects) == [PLACE]
    after = setup.server.get(PLACE)["metadata"]
    assert after["labels"] == {"team": "a"}
    assert after["uid"] == before["metadata"]["uid"]


def test_a_namespace_that_nobody_named_must_be_ours(setup: Bench) -> None:
    place = "/api/v1/namespaces/dag-builds"
    theirs = {**MINE, "metadata": {"name": "dag-builds", "labels": {steps.OWNER_LABEL: "dag"}}}
    setup.server.put(place, theirs)
    setup.named = ()
    code, said = setup()
    assert code == 3
    assert "Namespace dag-builds is there already, and dag setup has not made it" in said
    assert "hint: --namespace dag-builds says that builds shall have it" in said
    assert setup.server.changes == []
    setup.named = ("--namespace=dag-builds",)
    assert setup()[0] == 0
    assert ENFORCE in setup.server.get(place)["metadata"]["labels"]
    del setup.server.objects[place]
    setup.named = ()
    assert [setup()[0], setup()[0]] == [0, 0]
    assert steps.is_ours(setup.server.get(place))


def test_what_somebody_makes_while_we_look_does_not_keep_our_mark(setup: Bench) -> None:
    def make(method: str, path: str) -> None:
        if (method, path) == ("PATCH", PLACE) and path not in setup.server.objects:
            setup.server.put(PLACE, MINE)

    setup.server.before = make
    code, said = setup()
    assert code == 0, said
    assert "where builds run (somebody else made it, so it stays as it is)" in said
    assert "app.kubernetes.io/managed-by" not in setup.server.get(PLACE)["metadata"]["labels"]


def test_a_pod_of_somebody_else_is_not_taken_for_the_one_that_tries_the_key(setup: Bench) -> None:
    pod = f"{PLACE}/pods/dag-secret-test"
    metadata = {"name": "dag-secret-test", "namespace": "builds"}
    setup.server.put(pod, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata})
    before = setup.server.get(pod)
    code, said = setup("--secret-key")
    assert code == 3
    assert "Pod builds/dag-secret-test is somebody else's" in said
    assert setup.server.get(pod) == before


@pytest.mark.parametrize("status", [403, 500])
@pytest.mark.parametrize("path", [PLACE, ACCOUNT, ROLE])
def test_a_look_that_fails_ends_undoing_and_nothing_is_deleted(
    setup: Bench, path: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert setup()[0] == 0
    # For so long a refusal may be that of a server that has just started.
    monkeypatch.setattr("dag.io.kube.api._REFUSAL_PATIENCE", 0.05)
    setup.server.before = lambda method, asked: status if (method, asked) == ("GET", path) else None
    setup.server.changes.clear()
    code, said = setup("--undo", "--yes")
    assert code == 3
    assert setup.server.changes == []
    assert "the test says" in said


def test_what_loses_our_mark_after_the_question_stays(setup: Bench) -> None:
    assert setup()[0] == 0

    def unmark(method: str, path: str) -> None:
        if (method, path) == ("DELETE", PLACE):
            setup.server.put(PLACE, MINE, "dag")

    setup.server.before = unmark
    code, said = setup("--undo", "--yes")
    assert code == 0
    assert "where builds run (somebody else made it, so it stays as it is)" in said
    assert list(setup.server.objects) == [PLACE]


def test_what_was_made_anew_after_the_question_stays(setup: Bench) -> None:
    assert setup()[0] == 0
    marked = setup.server.objects[ROLE].managers["dag"]

    def replace(method: str, path: str) -> None:
        if (method, path) == ("DELETE", ROLE):
            del setup.server.objects[ROLE]
            setup.server.put(ROLE, marked)
            setup.server.before = lambda _method, _path: None

    setup.server.before = replace
    assert setup("--undo", "--yes")[0] == 0
    assert list(setup.server.objects) == [ROLE]


def test_without_a_terminal_nothing_is_asked_and_nothing_done(setup: Bench) -> None:
    assert setup()[0] == 0
    setup.server.before = lambda _method, _path: 500
    code, said = setup("--undo")
    assert code == 2
    assert "--undo asks before it deletes, and there is no terminal on which it could ask" in said
    assert "hint: --yes answers the question" in said


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_without_a_yes_nothing_is_deleted(setup: Bench, answer: str) -> None:
    assert setup()[0] == 0
    setup.server.changes.clear()
    code, said = setup.typed(answer, "--undo")
    assert (code, setup.server.changes) == (130, []), said
    assert "  Namespace builds, with all that is in it\r\n" in said
    assert "Delete all of this? [y/N]: " in said


def test_with_a_yes_it_is_deleted(setup: Bench) -> None:
    assert setup()[0] == 0
    code, said = setup.typed("y\n", "--undo")
    assert (code, setup.server.objects) == (0, {}), said


def test_the_context_is_found_once_and_said(setup: Bench) -> None:
    code, said = setup()
    assert code == 0
    assert f"the cluster is context here, {setup.server.url}" in said
    assert setup("--undo", "--yes")[1].count("the cluster is context here, ") == 1


def test_the_context_of_this_moment_is_written_into_the_script(setup: Bench) -> None:
    for words in (("--print",), ("--print", "--undo")):
        done = setup.run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert 'kubectl() { command kubectl --context=here "$@"; }' in done.stdout


def test_without_a_current_context_one_must_be_named(setup: Bench) -> None:
    config = yaml.safe_load((setup.place / "config").read_text())
    (setup.place / "config").write_text(yaml.safe_dump({**config, "current-context": ""}))
    for words in ((), ("--print",), ("--undo", "--yes")):
        code, said = setup(*words)
        assert code == 2
        assert "no current-context is set\nhint: choose one with --context" in said
    assert setup.server.changes == []
