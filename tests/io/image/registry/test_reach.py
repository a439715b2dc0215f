"""A registry that is not there, or not as expected, and the message that helps."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from dag.core.web import is_loopback
from dag.errors import InfrastructureError
from dag.io.image.registry import clients as registry_clients
from dag.io.image.registry import requests as registry_requests
from dag.io.image.registry.refusals import (
    RegistryError,
    denied_hint,
    missing_repository_hint,
)
from dag.io.image.registry.repository import resolve
from dag.io.retries import RetryPolicy
from tests.support.faults import FaultProxy, Origin
from tests.support.registries import Server, registry, self_signed

AT_ONCE = RetryPolicy(first=0)

pytestmark = pytest.mark.usefixtures("no_credentials")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_registry_at_which_nobody_listens_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_requests, "RETRIES", AT_ONCE)
    host = f"127.0.0.1:{closed_port()}"
    with pytest.raises(RegistryError) as caught:
        resolve(f"{host}/a:1")
    assert caught.value.exit_code == 3
    assert f"registry {host} cannot be reached: " in caught.value.message
    assert "refused" in caught.value.message
    assert caught.value.hint is not None
    assert "is the registry running" in caught.value.hint


def test_a_name_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_requests, "RETRIES", AT_ONCE)
    with pytest.raises(RegistryError, match=r"registry nowhere\.invalid cannot be found"):
        resolve("nowhere.invalid/a:1")


def test_a_proxy_is_not_asked_for_this_machine(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    monkeypatch.setenv("ALL_PROXY", "http://proxy.invalid:1")
    with pytest.raises(RegistryError, match="there is no image"):
        resolve(f"{proxy.url.removeprefix('http://')}/a:1")


def test_a_proxy_that_is_none_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("all_proxy", "http://user:s3cret@[::1")
    with pytest.raises(InfrastructureError, match=r"^\$all_proxy is no URL$"):
        resolve("nowhere.invalid/a:1")


def test_certificates_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(InfrastructureError, match=rf"SSL_CERT_FILE \({tmp_path}/ca.pem\)"):
        resolve("nowhere.invalid/a:1")


def test_a_certificate_of_docker_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_clients, "_CERTIFICATE_DIRECTORIES", (tmp_path,))
    path = tmp_path / "nowhere.invalid" / "ca.crt"
    path.parent.mkdir()
    path.write_text("no certificate\n")
    with pytest.raises(RegistryError, match=rf"^{path} cannot be used: NO_CERTIFICATE"):
        resolve("nowhere.invalid/a:1")


NAME = "registry.test"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a name that is not this machine's resolve to this machine."""
    real = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host in (NAME, NAME.encode()) else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(registry_requests, "RETRIES", AT_ONCE)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture(scope="module")
def secure(
    certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with registry(tmp_path_factory.mktemp("secure"), tls=(*certificate, NAME)) as server:
        yield server


@pytest.mark.installs
@pytest.mark.usefixtures("named")
class TestTls:
    def test_a_certificate_of_nobody_is_refused(self, secure: Server) -> None:
        with pytest.raises(RegistryError, match="certificate") as caught:
            resolve(f"{secure.host}/a:1")
        assert caught.value.message.startswith(
            f"the certificate of registry {secure.host} is not trusted: self-signed"
        )
        assert caught.value.hint is not None
        assert f"/etc/docker/certs.d/{secure.host}/ca.crt" in caught.value.hint

    def test_the_environment_names_a_ca(
        self, secure: Server, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        with pytest.raises(RegistryError, match="there is no image"):
            resolve(f"{secure.host}/a:1")

    def test_dockers_directory_has_a_ca(
        self,
        secure: Server,
        certificate: tuple[Path, Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(registry_clients, "_CERTIFICATE_DIRECTORIES", (tmp_path,))
        (tmp_path / secure.host).mkdir()
        (tmp_path / secure.host / "ca.crt").write_bytes(certificate[0].read_bytes())
        with pytest.raises(RegistryError, match="there is no image"):
            resolve(f"{secure.host}/a:1")

    def test_dockers_directory_has_what_this_machine_shows(
        self, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        monkeypatch.setattr(registry_clients, "_CERTIFICATE_DIRECTORIES", (tmp_path / "certs.d",))
        (tmp_path / "own").mkdir()
        own = self_signed(tmp_path / "own", "me")
        with registry(tmp_path, tls=(*certificate, NAME), clients=own[0]) as server:
            with pytest.raises(RegistryError, match=r"TLS failed: .*ALERT.*CERTIFICATE") as caught:
                resolve(f"{server.host}/a:1")
            place = tmp_path / "certs.d" / server.host
            assert "/client.cert, and its key into client.key beside it" in (
                caught.value.hint or ""
            )
            place.mkdir(parents=True)
            (place / "client.cert").write_bytes(own[0].read_bytes())
            with pytest.raises(RegistryError, match=r"client\.cert cannot be used: No such file"):
                resolve(f"{server.host}/a:1")
            (place / "client.key").write_bytes(own[1].read_bytes())
            with pytest.raises(RegistryError, match="there is no image"):
                resolve(f"{server.host}/a:1")

    def test_insecure_takes_any_certificate(self, secure: Server) -> None:
        with pytest.raises(RegistryError, match="there is no image"):
            resolve(f"{secure.host}/a:1", insecure=True)

    def test_insecure_falls_back_to_plain_http(self, proxy: FaultProxy) -> None:
        with pytest.raises(RegistryError, match="there is no image"):
            resolve(f"{NAME}:{proxy.port}/a:1", insecure=True)

    def test_plain_http_is_said_to_be_that(self, running: Server) -> None:
        port = running.host.rpartition(":")[2]
        with pytest.raises(RegistryError, match="does not speak https") as caught:
            resolve(f"{NAME}:{port}/a:1")
        assert caught.value.hint is not None
        assert "--insecure-registry" in caught.value.hint

    def test_https_where_http_was_meant(self, secure: Server) -> None:
        port = secure.host.rpartition(":")[2]
        with pytest.raises(RegistryError, match="400") as caught:
            resolve(f"127.0.0.1:{port}/a:1")
        assert caught.value.hint is not None
        assert "does it speak https there?" in caught.value.hint


def test_only_one_s_own_machine_is_loopback() -> None:
    assert all(
        is_loopback(host)
        for host in ("localhost", "localhost:5000", "127.0.0.1:5000", "127.8.0.1", "[::1]:5", "::1")
    )
    assert not any(
        is_loopback(host)
        for host in ("localhost.example", "127.0.0.1.example", "10.0.0.1", "[::2]:5", "kind:5000")
    )


ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("host", "repository", "command"),
    [
        (ECR, "a/dag", "aws ecr create-repository --repository-name a/dag --region eu-west-1"),
        (
            "europe-west4-docker.pkg.dev",
            "proj/images/dag",
            (
                "gcloud artifacts repositories create images"
                " --repository-format=docker --location=europe-west4 --project=proj"
            ),
        ),
        (
            "eu.gcr.io",
            "proj/dag",
            (
                "gcloud artifacts repositories create eu.gcr.io"
                " --repository-format=docker --location=europe --project=proj"
            ),
        ),
        ("ghcr.io", "a/b", None),
    ],
)
def test_the_command_that_makes_a_repository(
    host: str, repository: str, command: str | None
) -> None:
    assert missing_repository_hint(host, repository) == command


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (ECR, "aws ecr get-login-password --region eu-west-1 | docker login"),
        ("us-docker.pkg.dev", "gcloud auth configure-docker us-docker.pkg.dev"),
        ("ghcr.io", "docker login ghcr.io"),
    ],
)
def test_the_command_that_logs_in(host: str, words: str) -> None:
    assert denied_hint(host, push=True).startswith(words)


def test_a_connection_that_is_just_being_made_at_the_end_is_closed(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, closed, made = Event(), Event(), []
    real = socket.create_connection

    def connect(*given: Any, **more: Any) -> socket.socket:
        begun.set()
        assert closed.wait(60)
        made.append(real(*given, **more))
        return made[-1]

    monkeypatch.setattr(socket, "create_connection", connect)
    url = origin.put("/v2/a/blobs/x", b"data")
    transport = registry_requests.RegistryTransport(url.split("/")[2])
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(transport.send, "GET", transport.url("a/blobs/x"), scopes=(), ok={200})
        assert begun.wait(60)
        transport.close()
        closed.set()
        with pytest.raises(registry_requests.RequestGivenUp):
            asked.result(60)
    assert [one.fileno() for one in made] == [-1]
