"""The registry client, if registries fail, lie, redirect, or are not there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from dag.core.image.archive import file_of
from dag.core.image.layers import INDEX_TYPE, canonical_json
from dag.io.image.bundle import push_bundle
from dag.io.image.registry.refusals import (
    Refused,
    RegistryError,
)
from dag.io.image.registry.repository import ImageRepository, resolve
from dag.io.image.registry.requests import RETRIES, Body, RegistryTransport
from tests.support.faults import FaultProxy, Origin
from tests.support.registries import Server, base_image, skopeo
from tests.support.uploads import DATA, Waits, blob, host_of, upload

pytestmark = pytest.mark.usefixtures("no_credentials")


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def repository(proxy: FaultProxy, waits: Waits, request: Any) -> Iterator[ImageRepository]:
    name = f"t/{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"
    with RegistryTransport(host_of(proxy), sleep=waits) as transport:
        yield ImageRepository(transport, name, writes=True)


def test_a_blob_is_uploaded_once(proxy: FaultProxy, repository: ImageRepository) -> None:
    assert upload(repository) == len(DATA)
    assert upload(repository) == 0
    assert proxy.received("PUT") == len(DATA)
    assert b"".join(repository.read_blob(blob(DATA))) == DATA


FAULTS: dict[str, Callable[[FaultProxy], object]] = {
    "HEAD reset": lambda p: p.on("HEAD", "blobs").reset(),
    "POST refused": lambda p: p.on("POST", "uploads").refuse(),
    "POST lost": lambda p: p.on("POST", "uploads").lose_answer(),
    "PUT reset": lambda p: p.on("PUT", "uploads").reset(),
    "PUT cut": lambda p: p.on("PUT", "uploads").cut_upload(1000),
    "PUT cut twice": lambda p: p.on("PUT", "uploads", times=2).cut_upload(1000),
    "PUT 500": lambda p: p.on("PUT", "uploads").answer(500),
    "PUT 503": lambda p: p.on("PUT", "uploads", times=3).answer(503),
    "PUT 429": lambda p: p.on("PUT", "uploads").answer(429, {"Retry-After": "7"}),
    "PUT 408": lambda p: p.on("PUT", "uploads").answer(408),
    "PUT 404": lambda p: p.on("PUT", "uploads").answer(
        404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'
    ),
    "PUT nonsense": lambda p: p.on("PUT", "uploads").raw(b"\0\0\0 nonsense\r\n\r\n"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_can_heal_is_tried_again_in_a_new_session(
    proxy: FaultProxy, repository: ImageRepository, waits: Waits, fault: str
) -> None:
    FAULTS[fault](proxy)
    assert upload(repository) == len(DATA)
    assert waits
    sessions = [item.request.target for item in proxy.matching("PUT", "uploads")]
    assert len(set(sessions)) == len(sessions)
    assert b"".join(repository.read_blob(blob(DATA))) == DATA


def test_a_lost_answer_is_not_uploaded_again(
    proxy: FaultProxy, repository: ImageRepository
) -> None:
    proxy.on("PUT", "uploads").lose_answer()
    assert upload(repository) == 0  # it was there at the second request
    assert proxy.received("PUT", "uploads") == len(DATA)


def test_a_manifest_is_tried_again(proxy: FaultProxy, repository: ImageRepository) -> None:
    config = b"{}"
    repository.upload(blob(config), Body.of(config))
    proxy.on("PUT", "manifests", times=2).answer(503)
    media_type = "application/vnd.oci.image.manifest.v1+json"
    text = (
        '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":'
        '"application/vnd.oci.image.config.v1+json","digest":"%s","size":2},"layers":[]}'
    )
    data = (text % (media_type, blob(config).digest)).encode()
    repository.put_manifest("1", media_type, data)
    assert repository.manifest("1").data == data
    assert repository.digest_of("1") == blob(data).digest


def test_what_the_registry_asks_to_wait_is_waited(
    proxy: FaultProxy, repository: ImageRepository, waits: Waits
) -> None:
    proxy.on("HEAD", "blobs").answer(429, {"Retry-After": "7"})
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    proxy.on("HEAD", "blobs", nth=2).answer(503, {"Retry-After": date})
    upload(repository)
    assert waits[0] == 7
    assert 30 < waits[1] <= 40


def test_a_registry_that_puts_off_every_second_request_gets_all(
    proxy: FaultProxy, repository: ImageRepository
) -> None:
    for method, path in (("HEAD", "blobs"), ("POST", "uploads"), ("PUT", "uploads")):
        for nth in range(1, 10, 2):
            proxy.on(method, path, nth=nth).answer(429)
    assert upload(repository) == len(DATA)


def test_a_registry_that_puts_off_everything_is_given_up_once(
    proxy: FaultProxy, repository: ImageRepository, waits: Waits
) -> None:
    rule = proxy.on("POST", "uploads", times=None).answer(429)
    with pytest.raises(Refused, match=r"429 Too Many Requests$"):
        upload(repository)
    assert (rule.fired, len(waits)) == (RETRIES.attempts, RETRIES.attempts - 1)


def test_a_wait_of_hours_is_an_error_with_a_way_out(
    proxy: FaultProxy, repository: ImageRepository, waits: Waits
) -> None:
    rule = proxy.on("HEAD", "blobs", times=None).answer(
        429, {"Retry-After": str(int(RETRIES.longest_asked) + 1)}
    )
    with pytest.raises(Refused) as caught:
        upload(repository)
    assert (rule.fired, waits) == (1, [])
    assert caught.value.hint is not None
    assert "docker login" in caught.value.hint


@pytest.mark.parametrize("status", [400, 403, 405, 413])
def test_what_does_not_heal_is_tried_once(
    proxy: FaultProxy, repository: ImageRepository, waits: Waits, status: int
) -> None:
    rule = proxy.on("PUT", "uploads", times=None).answer(status)
    with pytest.raises(Refused, match=str(status)):
        upload(repository)
    assert (rule.fired, waits) == (1, [])


def test_it_gives_up_in_the_end(
    proxy: FaultProxy, repository: ImageRepository, waits: Waits
) -> None:
    rule = proxy.on("PUT", "uploads", times=None).answer(
        503, body=b'{"errors":[{"code":"UNAVAILABLE","message":"down for repairs"}]}'
    )
    with pytest.raises(Refused, match="503 UNAVAILABLE: down for repairs") as caught:
        upload(repository)
    assert "try again later, or ask who runs it" in (caught.value.hint or "")
    assert rule.fired == 6
    for seconds, least in zip(waits, [0.5, 1, 2, 4, 8], strict=True):
        assert least <= seconds <= least + 0.5


def test_an_error_shows_neither_query_nor_state(
    proxy: FaultProxy, repository: ImageRepository
) -> None:
    proxy.on("PUT", "uploads").answer(400)
    with pytest.raises(Refused) as caught:
        upload(repository)
    assert "?" not in caught.value.message


def test_stopping_ends_the_waiting_for_a_retry(proxy: FaultProxy) -> None:
    rule = proxy.on(times=None).answer(503, {"Retry-After": "59"})
    with RegistryTransport(host_of(proxy)) as transport:
        failed: list[BaseException] = []

        def run() -> None:
            try:
                ImageRepository(transport, "t/stop", writes=True).has_blob(blob(DATA).digest)
            except RegistryError as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        rule.wait()
        transport.stop()
        thread.join(20)
        assert not thread.is_alive()
    assert len(failed) == 1


def test_one_failed_upload_stops_the_others(running: Server, tmp_path: Path) -> None:
    digest = base_image(tmp_path / "layout")
    name = f"{running.host}/library/base:1"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{tmp_path}/layout", f"docker://{name}")
    with FaultProxy(f"http://{running.host}") as proxy:
        proxy.on("PUT", "uploads").answer(400, body=b"no")
        held = proxy.on("PUT", "uploads", nth=2, times=None).answer(503, {"Retry-After": "59"})
        entries = [file_of(f"{n}.yaml", bytes([n])) for n in range(200)]
        with pytest.raises(Refused, match="400 no"):
            push_bundle(f"{host_of(proxy)}/t/stopped", entries, base=f"{name}@{digest}")
        assert held.fired < 40
        assert proxy.count("PUT", "manifests") == 0


@pytest.mark.parametrize("lie", ["other", "short", "long"])
def test_a_blob_that_is_not_what_it_should_be_is_refused(waits: Waits, lie: str) -> None:
    sent = {"other": b"x" * len(DATA), "short": DATA[:-1], "long": DATA + b"x"}[lie]
    with Origin() as origin:
        origin.put(f"/v2/a/blobs/{blob(DATA).digest}", sent)
        with (
            RegistryTransport(host_of(origin), sleep=waits) as transport,
            pytest.raises(RegistryError, match=f"not {blob(DATA).digest}"),
        ):
            ImageRepository(transport, "a").blob_bytes(blob(DATA))


def test_a_manifest_that_is_not_what_it_should_be_is_refused() -> None:
    digest = blob(b"{}").digest
    with Origin() as origin, RegistryTransport(host_of(origin)) as transport:
        origin.put(f"/v2/a/manifests/{digest}", b"{ }")
        with pytest.raises(RegistryError, match=f"not {digest}"):
            ImageRepository(transport, "a").manifest(digest)


def test_a_blob_that_breaks_off_is_read_again(
    proxy: FaultProxy, repository: ImageRepository
) -> None:
    upload(repository)
    proxy.on("GET", "blobs").truncate(1000)
    proxy.on("GET", "blobs", nth=2).reset(after=5000)
    assert repository.blob_bytes(blob(DATA)) == DATA


def test_a_copy_whose_source_breaks_off_is_copied_again(
    running: Server, proxy: FaultProxy, repository: ImageRepository
) -> None:
    with (
        FaultProxy(f"http://{running.host}") as other,
        RegistryTransport(host_of(other)) as transport,
    ):
        source = ImageRepository(transport, repository.name)
        upload(repository)
        other.on("GET", "blobs").truncate(1000)
        with RegistryTransport(running.host) as direct:
            target = ImageRepository(direct, f"{repository.name}/copy", writes=True)
            body = Body(len(DATA), lambda: source.read_blob(blob(DATA)))
            assert target.upload(blob(DATA), body) == len(DATA)
            assert target.blob_bytes(blob(DATA)) == DATA
        assert other.count("GET", "blobs") == 2


def test_a_mount_that_is_refused_is_an_upload(
    proxy: FaultProxy, repository: ImageRepository
) -> None:
    proxy.on("POST", "mount=").answer(403, body=b'{"errors":[{"code":"DENIED"}]}')
    assert repository.upload(blob(DATA), Body.of(DATA), source="t/none") == len(DATA)


def test_a_mount_that_breaks_the_registry_is_an_upload(
    proxy: FaultProxy, repository: ImageRepository
) -> None:
    proxy.on("POST", "mount=", times=None).answer(500)
    assert repository.upload(blob(DATA), Body.of(DATA), source="t/none") == len(DATA)


def test_a_mount_of_what_is_not_there_is_an_upload(repository: ImageRepository) -> None:
    assert repository.upload(blob(DATA), Body.of(DATA), source="t/none") == len(DATA)


def test_a_registry_without_a_digest_header_is_read() -> None:
    with Origin() as origin:
        origin.put("/v2/a/manifests/1", b"{}")
        assert resolve(f"{host_of(origin)}/a:1") == f"{host_of(origin)}/a@{blob(b'{}').digest}"


@pytest.mark.parametrize("status", [405, 501])
def test_a_registry_that_knows_no_head_is_read_and_written(
    proxy: FaultProxy, repository: ImageRepository, status: int
) -> None:
    proxy.on("HEAD", times=None).answer(status)
    assert upload(repository) == len(DATA)
    assert repository.digest_of("1") is None
    manifest = canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []})
    repository.put_manifest("1", INDEX_TYPE, manifest)
    assert repository.digest_of("1") == blob(manifest).digest


def test_a_manifest_whose_blobs_are_not_known_for_a_moment_is_tried_again(
    proxy: FaultProxy, repository: ImageRepository
) -> None:
    # As docker-registry says it while somebody else pushes the same blobs.
    words = b'{"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]}'
    proxy.on("PUT", "manifests", times=2).answer(400, body=words)
    manifest = canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []})
    repository.put_manifest("1", INDEX_TYPE, manifest)
    assert repository.digest_of("1") == blob(manifest).digest
    proxy.on("PUT", "manifests", times=None).answer(400, body=words)
    with pytest.raises(Refused, match="MANIFEST_BLOB_UNKNOWN") as caught:
        repository.put_manifest("1", INDEX_TYPE, manifest)
    assert "does somebody delete there?" in (caught.value.hint or "")


def test_a_page_in_the_place_of_words_is_told_by_its_title(
    proxy: FaultProxy, repository: ImageRepository
) -> None:
    page = (
        b"<html>\r\n<head><title>413 Too large &amp; more</title></head><body>nginx</body></html>"
    )
    proxy.on("PUT", "uploads").answer(413, {"Content-Type": "text/html"}, page)
    with pytest.raises(Refused, match=r": 413 Too large & more$"):
        upload(repository)


@pytest.mark.parametrize(
    ("method", "path", "status", "hint"),
    [
        ("PUT", "uploads", 413, "client_max_body_size"),
        ("POST", "uploads", 405, "read-only"),
        ("PUT", "manifests", 400, "must take OCI's indexes"),
        ("PUT", "manifests", 415, "must take OCI's indexes"),
        ("GET", "manifests", 404, "is it still there?"),
    ],
)
def test_a_refusal_says_what_may_help(
    proxy: FaultProxy, repository: ImageRepository, method: str, path: str, status: int, hint: str
) -> None:
    words = b'{"errors":[{"code":"UNSUPPORTED","message":"no"}]}'
    proxy.on(method, path, times=None).answer(status, body=words)
    asked: dict[tuple[str, str], Callable[[], object]] = {
        ("PUT", "uploads"): lambda: upload(repository),
        ("POST", "uploads"): lambda: upload(repository),
        ("PUT", "manifests"): lambda: repository.put_manifest("1", INDEX_TYPE, b"{}"),
        ("GET", "manifests"): lambda: repository.manifest("1"),
    }
    with pytest.raises(Refused, match=f"{status} UNSUPPORTED: no") as caught:
        asked[method, path]()
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("body", [b'{"errors":[{"code":"NAME_UNKNOWN"}]}', b"not here"])
def test_a_repository_that_must_exist_first(
    proxy: FaultProxy, repository: ImageRepository, body: bytes
) -> None:
    proxy.on("POST", "uploads").answer(404, body=body)
    with pytest.raises(Refused, match=f"has no repository {repository.name}"):
        upload(repository)
