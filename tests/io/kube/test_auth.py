"""Tokens, token files and credential plugins: what is sent, and that no error shows it."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dag.errors import DagError
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.kubeconfig import connect
from tests.support.faults import Origin
from tests.support.kubeconfigs import VERSION, ask, credential, kubeconfig, plugin, printing

SECRET = "hunter2-hunter2"


@pytest.fixture
def api(origin: Origin) -> Origin:
    origin.put("/version", VERSION)
    return origin


def sent(api: Origin) -> list[str | None]:
    return [one.request.header("authorization") for one in api.matching("GET", "/version")]


def users(directory: Path, token: str) -> list[dict[str, Any]]:
    (directory / "token").write_text(token)
    return [
        {"token": token},
        {"tokenFile": "token"},
        plugin(directory / "plugin", printing(credential(token))),
    ]


@pytest.mark.parametrize("kind", range(3), ids=["token", "tokenFile", "plugin"])
async def test_a_line_break_after_a_token_is_no_part_of_it(
    api: Origin, tmp_path: Path, kind: int
) -> None:
    user = users(tmp_path, f" {SECRET}\n")[kind]
    await ask(kubeconfig(tmp_path / "config", api.url, user))
    assert sent(api) == [f"Bearer {SECRET}"]


@pytest.mark.parametrize("token", [f"a\n{SECRET}", f"a\0{SECRET}", f"ä{SECRET}"])
@pytest.mark.parametrize("kind", range(3), ids=["token", "tokenFile", "plugin"])
async def test_a_token_that_cannot_be_sent_is_not_shown(
    api: Origin, tmp_path: Path, kind: int, token: str
) -> None:
    config = kubeconfig(tmp_path / "config", api.url, users(tmp_path, token)[kind])
    with pytest.raises(DagError) as caught:
        await ask(config)
    assert f"{config}: context 'here'" in caught.value.message
    assert "has a line break or another character" in caught.value.message
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert api.exchanges == []


async def test_a_header_that_cannot_be_sent_is_not_shown(api: Origin, tmp_path: Path) -> None:
    cluster = connect(kubeconfig(tmp_path / "config", api.url))

    def spoil(request: httpx2.Request) -> httpx2.Request:
        request.headers["Authorization"] = f"Bearer {SECRET}\n"
        return request

    cluster.http.auth = spoil
    kube = Kube(cluster, lambda _: None)
    with pytest.raises(ApiError) as caught:
        await kube.get("/version", patience=0)
    await kube.close()
    assert SECRET not in "".join(traceback.format_exception(caught.value, chain=False))
    assert SECRET not in caught.value.message


def test_yaml_that_breaks_at_a_token_is_not_shown(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"users:\n- name: me\n  user: {{token: {SECRET}: x: [}}\n")
    with pytest.raises(DagError, match="line 3, column") as caught:
        connect(str(config))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (printing(f"token={SECRET}"), "printed no JSON"),
        ("", "printed no JSON"),
        (r"printf '\377\376'", "printed no JSON"),
        (printing("[]"), "printed no ExecCredential with a token"),
        (printing('{"status": null}'), "printed no ExecCredential with a token"),
        (printing('{"status": {"token": 1}}'), "printed no ExecCredential with a token"),
        (printing('{"status": {"clientCertificateData": "x"}}'), "gave a client certificate"),
        (r"printf 'no \377 login' >&2; exit 7", "ended with 7: no \ufffd login"),
        ("exit 7", "ended with 7"),
    ],
)
async def test_a_plugin_that_gives_no_token(
    api: Origin, tmp_path: Path, script: str, words: str
) -> None:
    user = plugin(tmp_path / "plugin", script)
    config = kubeconfig(tmp_path / "config", api.url, user)
    with pytest.raises(DagError, match=words) as caught:
        await ask(config)
    where = f"{config}: context 'here': the credential plugin {tmp_path}/plugin"
    assert caught.value.message.startswith(where)
    assert caught.value.hint
    assert caught.value.exit_code == 3
    assert SECRET not in caught.value.message


async def test_a_plugin_that_is_not_installed(api: Origin, tmp_path: Path) -> None:
    user = plugin(tmp_path / "plugin", "")
    user["exec"] |= {"command": "dag-no-such-plugin", "installHint": "get it from the shop"}
    with pytest.raises(DagError, match="dag-no-such-plugin cannot be run: No such file") as caught:
        await ask(kubeconfig(tmp_path / "config", api.url, user))
    assert caught.value.hint == "get it from the shop"


@pytest.mark.parametrize(
    ("content", "words"), [(b"\xff\xfe", "is no text"), (b"\n", "is empty"), (None, "No such file")]
)
async def test_a_token_file_without_a_token(
    api: Origin, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    config = kubeconfig(tmp_path / "config", api.url, {"tokenFile": "token"})
    with pytest.raises(DagError, match=words) as caught:
        await ask(config)
    assert f"{config}: context 'here': the user's tokenFile ({path})" in caught.value.message


async def test_a_plugin_beside_its_kubeconfig(
    api: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = plugin(tmp_path / "kube" / "bin" / "plugin", printing(credential(SECRET)))
    user["exec"]["command"] = "./bin/plugin"
    config = kubeconfig(tmp_path / "kube" / "config", api.url, user)
    monkeypatch.chdir(tmp_path)
    await ask(config)
    assert sent(api) == [f"Bearer {SECRET}"]


async def test_a_plugin_is_told_of_the_cluster_if_it_wants(api: Origin, tmp_path: Path) -> None:
    script = f'printf %s "$KUBERNETES_EXEC_INFO" >{tmp_path}/info\n{printing(credential(SECRET))}'
    user = plugin(tmp_path / "plugin", script)
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    cluster = {"insecure-skip-tls-verify": True, "extensions": [extension]}

    async def told(*, wanted: bool) -> dict[str, Any]:
        user["exec"]["provideClusterInfo"] = wanted
        await ask(kubeconfig(tmp_path / "config", api.url, user, cluster))
        info = json.loads((tmp_path / "info").read_text())
        assert info["apiVersion"] == user["exec"]["apiVersion"]
        spec: dict[str, Any] = info["spec"]
        return spec

    assert await told(wanted=False) == {"interactive": False}
    assert await told(wanted=True) == {
        "interactive": False,
        "cluster": {
            "server": api.url,
            "insecure-skip-tls-verify": True,
            "config": {"audience": "x"},
        },
    }
