"""A pod reaches the network through the proxy of --proxy, and `dag doctor` says whether it could."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cluster.config import HOST_ADDRESS
from examples.bootstrap import bootstrap
from tests.support.cluster.findings import Findings
from tests.support.cluster.proxied import PACKAGES, SOURCES, behind_proxy
from tests.support.cluster.running import definitions
from tests.support.forwarding import Forwarder

if TYPE_CHECKING:
    from tests.support.cluster.running import Dag

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("isolation", ["privileged", "userns"])
def test_melange_and_steps_fetch_through_the_proxy(
    dag: Dag, tmp_path: Path, isolation: str
) -> None:
    bootstrap()
    with behind_proxy(tmp_path / "d") as behind:
        dag.environment |= behind.environment
        flags = [f"--proxy={behind.url}", f"--isolation={isolation}", f"--out={tmp_path}/out"]
        done = dag.pod(behind.directory, "--ram=256Mi", *flags, "--only", "baselayout", "words")
        assert done.returncode == 0, done.stderr
        assert behind.fetched(f"{SOURCES}/files/words-")
        assert behind.fetched(f"{PACKAGES}/x86_64/wget-")
    assert (tmp_path / "out/x86_64/words-20230125-r0.apk").exists()


def test_the_doctor_tries_the_proxy_from_a_pod(dag: Dag, tmp_path: Path) -> None:
    directory = definitions(tmp_path / "d")
    with Forwarder(host=HOST_ADDRESS) as proxy:
        found = Findings(dag, directory, f"--proxy=http://{proxy.place}")
        assert found.message("proxy x86_64") == f"http://{proxy.place} serves pods"
        assert proxy.lines == ["HEAD http://dag.invalid/ HTTP/1.1"]
    login = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with Forwarder(login, host=HOST_ADDRESS) as proxy:
        found = Findings(dag, directory, f"--proxy=http://{proxy.place}")
        said = found.failed("proxy x86_64")
    assert said == f"http://{proxy.place} serves no pod: it wants a login"
    with socket.socket() as taken:
        taken.bind((HOST_ADDRESS, 0))
        url = f"http://{HOST_ADDRESS}:{taken.getsockname()[1]}"
        found = Findings(dag, directory, f"--proxy={url}")
    why = f"there is no connection to {HOST_ADDRESS}: Connection refused"
    assert found.failed("proxy x86_64") == f"{url} serves no pod: {why}"
    assert "asks for no login" in found.checks["proxy x86_64"]["fix"]
