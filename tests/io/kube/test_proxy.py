"""The way to an API server: directly, or by a proxy from the kubeconfig or the environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from dag.errors import DagError, InfrastructureError
from dag.io.kube.kubeconfig import connect
from dag.io.kube.proxy import proxy_of_environment
from tests.support.faults import Origin
from tests.support.kubeconfigs import VERSION, ask, kubeconfig

SERVER = "http://api.example:6443"
PROXY = "http://proxy.example:3128"

Environment = Callable[[dict[str, str]], None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    def environment(variables: dict[str, str]) -> None:
        for kind in ("http", "https", "all", "no"):
            monkeypatch.delenv(f"{kind}_proxy", raising=False)
            monkeypatch.delenv(f"{kind}_proxy".upper(), raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return environment


async def test_the_proxy_of_the_environment(
    origin: Origin, tmp_path: Path, environment: Environment
) -> None:
    environment({"HTTP_PROXY": origin.url})
    origin.on("GET", "/version").answer(200, body=VERSION)
    await ask(kubeconfig(tmp_path / "config", SERVER))
    assert [one.request.target for one in origin.exchanges] == [f"{SERVER}/version"]


async def test_the_proxy_of_the_kubeconfig_wins(
    origin: Origin, tmp_path: Path, environment: Environment
) -> None:
    environment({"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "*"})
    origin.on("GET", "/version").answer(200, body=VERSION)
    await ask(kubeconfig(tmp_path / "config", SERVER, cluster={"proxy-url": origin.url}))
    assert [one.request.target for one in origin.exchanges] == [f"{SERVER}/version"]


async def test_a_server_on_loopback_is_asked_without_a_proxy(
    origin: Origin, tmp_path: Path, environment: Environment
) -> None:
    environment({"HTTP_PROXY": "http://127.0.0.1:1"})
    origin.put("/version", VERSION)
    await ask(kubeconfig(tmp_path / "config", origin.url))
    assert origin.count() == 1


def test_a_proxy_of_the_environment_that_cannot_be(
    tmp_path: Path, environment: Environment
) -> None:
    environment({"HTTP_PROXY": "http://me:secret@h:port"})
    with pytest.raises(InfrastructureError, match=r"^\$HTTP_PROXY is no URL") as caught:
        connect(kubeconfig(tmp_path / "config", SERVER))
    assert isinstance(caught.value, DagError)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("server", "excepted", "direct"),
    [
        ("https://api.example", "", False),
        ("https://api.example", "*", True),
        ("https://api.example", "other.example, api.example", True),
        ("https://api.example", "example", True),
        ("https://api.example", ".example", True),
        ("https://api.example", "*.example", True),
        ("https://API.example.", "api.EXAMPLE", True),
        ("https://api.example", "pi.example", False),
        ("https://example", ".example", False),
        ("https://api.example", "api.example:443", True),
        ("https://api.example:6443", "api.example:443", False),
        ("https://10.1.2.3:6443", "10.0.0.0/8", True),
        ("https://11.1.2.3:6443", "10.0.0.0/8", False),
        ("https://api.example", "10.0.0.0/8", False),
        ("https://10.1.2.3:6443", "10.1.2.3", True),
        ("https://10.1.2.3:6443", "10.1.2.3:6443", True),
        ("https://10.1.2.3:6443", "10.1.2.3:1", False),
        ("https://10.1.2.3:6443", ".3", False),
        ("https://[fd00::1]:6443", "fd00::/8", True),
        ("https://[fd00::1]:6443", "fd00::1", True),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", True),
        ("https://[fd00::1]:6443", "fd00::2", False),
        ("https://localhost:6443", "", True),
        ("https://127.0.0.1:6443", "", True),
        ("https://[::1]:6443", "", True),
        ("http://api.example", "", True),
    ],
)
def test_what_is_excepted_is_asked_without_a_proxy(
    environment: Environment, server: str, excepted: str, direct: bool
) -> None:
    environment({"HTTPS_PROXY": "proxy.example:3128", "NO_PROXY": excepted})
    expected = None if direct else PROXY
    assert proxy_of_environment(httpx2.URL(server)) == expected
