"""`dag setup signer` says whom the signer trusts, and takes nobody's trust away unless it is asked to."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from dag.core.setup.steps import GUEST, KeepTrust, SetupPlan, mark_as_ours
from dag.errors import InfrastructureError
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.report.setup import to_script
from dag.run.setup.objects import ClusterObjects
from tests.support.apiserver import ApiServer
from tests.support.kubeconfigs import kubeconfig

PATH = "/api/v1/namespaces/keys/configmaps/dag-signer"
Keep = Callable[..., tuple[str, list[str]]]


def step(*names: str, replaces: bool = False) -> KeepTrust:
    manifest = mark_as_ours(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "dag-signer", "namespace": "keys"},
            "data": {f"{one}.pub": f'-----{one}\n"its" text-----\n' for one in names},
        }
    )
    return KeepTrust(title="Trust", manifest=manifest, replaces=replaces)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as made:
        yield made


@pytest.fixture
def keep(server: ApiServer, tmp_path: Path) -> Keep:
    """Return what takes the step, and returns its outcome and what is told."""
    config = kubeconfig(tmp_path / "config", server.url)

    async def take(wanted: KeepTrust) -> tuple[str, list[str]]:
        said: list[str] = []
        kube = Kube(connect(str(config), None), said.append)
        try:
            return await ClusterObjects(kube, said.append).do(wanted), said
        finally:
            await kube.close()

    return lambda wanted: asyncio.run(take(wanted))


def trusted(server: ApiServer) -> list[str]:
    return sorted(server.get(PATH)["data"])


def test_another_machine_is_trusted_besides_those_that_were(server: ApiServer, keep: Keep) -> None:
    assert keep(step("one")) == ("made", ["it trusts the engine one.pub"])
    outcome, said = keep(step("two"))
    assert outcome == "changed"
    assert trusted(server) == ["one.pub", "two.pub"]
    assert said[:2] == ["it trusts the engine one.pub, as before", "it trusts the engine two.pub"]
    assert "--replace-engines no longer trusts those that were trusted before" in said[2]
    assert keep(step("one", "two"))[0] == "there already"


def test_others_are_trusted_no_more_if_that_is_asked_for(server: ApiServer, keep: Keep) -> None:
    keep(step("one", "two"))
    assert keep(step("two", replaces=True)) == ("changed", ["it trusts the engine two.pub"])
    assert trusted(server) == ["two.pub"]


def test_whom_somebody_else_has_put_there_is_not_trusted_in_silence(
    server: ApiServer, keep: Keep
) -> None:
    keep(step("one"))
    server.put(PATH, {"data": {"evil.pub": "key"}}, GUEST)
    assert "it trusts the engine evil.pub, as before" in keep(step("one"))[1]
    with pytest.raises(InfrastructureError, match=r"still has evil\.pub"):
        keep(step("one", replaces=True))
    del server.objects[PATH]
    server.put(PATH, step("evil").manifest)
    with pytest.raises(
        InfrastructureError, match="is there already, and dag setup has not made it"
    ):
        keep(step("one"))
    assert trusted(server) == ["evil.pub"]


KUBECTL = """\
#!/bin/sh
case $* in
  *custom-columns*) [ -z "$KEPT" ] || echo "dag uid 1 v1 ConfigMap keys dag-signer dag" ;;
  *"get configmap"*) [ "$KEPT" != broken ] || exit 1; printf '%s' "$KEPT" ;;
  apply*) cat >"$APPLIED" ;;
esac
"""


@pytest.mark.parametrize("replaces", [False, True])
def test_the_script_does_the_same(tmp_path: Path, replaces: bool) -> None:
    program = tmp_path / "bin/kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL)
    program.chmod(0o755)
    plan = SetupPlan(steps=[step("two", replaces=replaces)], flags={})
    kept = '  "one.pub": "-----one\\n\\"its\\" text-----\\n"\n  "two.pub": "what was there"\n'

    def run(there: str) -> tuple[int, str, dict[str, str]]:
        applied = tmp_path / "applied"
        applied.write_text("")
        found = {"PATH": f"{program.parent}:{os.environ['PATH']}", "KEPT": there}
        done = subprocess.run(
            ["sh", "-c", to_script(plan, "dag")],
            env={**found, "APPLIED": str(applied)},
            capture_output=True,
            text=True,
            check=False,
        )
        manifest = yaml.safe_load(applied.read_text()) or {"data": {}}
        return done.returncode, done.stdout, manifest["data"]

    assert run("")[2] == step("two").manifest["data"]
    code, said, data = run(kept)
    assert code == 0
    assert data == step("two", *([] if replaces else ["one"])).manifest["data"]
    assert "it trusts these engines: two.pub" in said
    assert ("and, as before:\none.pub\n" in said) is not replaces
    if not replaces:
        assert run("broken")[::2] == (1, {})  # nobody's trust goes because nobody answered
