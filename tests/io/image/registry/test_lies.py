"""A registry that answers what no registry should leads to one error, and nothing is written."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dag.core.image.archive import file_of
from dag.core.image.descriptors import Blob
from dag.core.image.references import parse_reference
from dag.errors import DagError, UsageError
from dag.io.image.bundle import push_bundle
from dag.io.image.platforms import read_platforms
from dag.io.image.registry import answers as registry_answers
from dag.io.image.registry.refusals import RegistryError
from dag.io.image.registry.repository import ImageRepository, resolve
from dag.io.image.registry.requests import RegistryTransport
from dag.io.retries import RetryPolicy
from tests.support.faults import Answer, Incoming, Origin

ONCE = RetryPolicy(attempts=1)

pytestmark = pytest.mark.usefixtures("no_credentials")

LINUX = {"os": "linux", "architecture": "amd64"}


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def host_of(server: Origin) -> str:
    return server.url.removeprefix("http://")


class Image:
    """An image that can be pushed on, until a test changes a part of it."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.config: Any = {
            **LINUX,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]},
        }
        self.manifest: Any = {"schemaVersion": 2, "layers": [self.blob(b"layer")]}
        self.index: Any = {"schemaVersion": 2}

    def blob(self, data: bytes, media_type: str = "a/layer") -> dict[str, Any]:
        self.origin.put(f"/v2/base/blobs/{digest_of(data)}", data)
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    def document(self, document: Any, *, tag: str = "") -> str:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        for version in filter(None, (digest_of(data), tag)):
            self.origin.put(f"/v2/base/manifests/{version}", data)
        return digest_of(data)

    def publish(self) -> str:
        config = self.blob(json.dumps(self.config).encode(), "a/config")
        if isinstance(self.manifest, dict):
            self.manifest.setdefault("config", config)
        manifest = self.document(self.manifest)
        if isinstance(self.index, dict):
            self.index.setdefault("manifests", [{"digest": manifest, "platform": LINUX}])
        self.document(self.index, tag="1")
        return f"{host_of(self.origin)}/base:1"


@pytest.fixture
def image(origin: Origin) -> Image:
    return Image(origin)


def refused(image: Image) -> str:
    """Push on top of the image and ask for its platforms; return the message about the push."""
    base = image.publish()
    with pytest.raises(DagError) as caught:
        push_bundle(f"{host_of(image.origin)}/out", [file_of("a", b"")], base=base)
    assert isinstance(caught.value, UsageError | RegistryError)
    with RegistryTransport(host_of(image.origin)) as transport:
        reference = parse_reference(base)
        with suppress(RegistryError):
            read_platforms(ImageRepository(transport, reference.repository), reference)
    return caught.value.message


def test_an_index_cannot_have_anything_written_elsewhere(image: Image, tmp_path: Path) -> None:
    target = tmp_path / "PWNED"
    for digest in (str(target), "sha256:" + "../" * 20 + str(target)):
        image.origin.put(f"/v2/base/manifests/{digest}", b"{}")
        image.index = {"manifests": [{"digest": digest, "platform": LINUX}]}
        assert "no digest" in refused(image)
    assert not target.exists()
    assert image.origin.count("*", "PWNED") == 0


def test_a_header_cannot_have_anything_written_elsewhere(origin: Origin, tmp_path: Path) -> None:
    target = tmp_path / "PWNED"
    origin.handle(
        "/v2/base/manifests/1", lambda _: Answer.of(200, {"Docker-Content-Digest": str(target)})
    )
    origin.put(f"/v2/base/manifests/{target}", b"{}")
    base = f"{host_of(origin)}/base:1"
    with pytest.raises(RegistryError, match="no digest"):
        push_bundle(f"{host_of(origin)}/out", [file_of("a", b"")], base=base)
    with pytest.raises(RegistryError, match="no digest"):
        resolve(base)
    assert not target.exists()


def test_what_is_neither_tag_nor_digest_is_not_read(origin: Origin) -> None:
    origin.put("/v2/base/manifests/md5:0", b"{}")
    with (
        RegistryTransport(host_of(origin)) as transport,
        pytest.raises(RegistryError, match="not md5:0"),
    ):
        ImageRepository(transport, "base").manifest("md5:0")


@pytest.mark.parametrize(
    "index",
    [
        *(b"\xff\xfe<html>", b"[" * 200_000, b"[]", {"manifests": None}, {"manifests": [5]}),
        *({"manifests": [{"platform": LINUX}]}, {"manifests": [{"platform": None}]}),
        *(b'{"schemaVersion": 1, "fsLayers": []}', {"manifests": {}}),
    ],
)
def test_an_index_that_is_none(image: Image, index: Any) -> None:
    image.index = index
    assert "the base image" in refused(image)


@pytest.mark.parametrize(
    "manifest",
    [
        *(b"[" * 200_000, {}, {"layers": None}, {"layers": [{"digest": "x"}]}),
        *({"layers": [{"digest": "sha256:" + "0" * 64, "size": 1}]}, {"layers": [5]}),
        {"layers": [], "config": {"mediaType": 5, "digest": "../../etc", "size": "a"}},
    ],
)
def test_a_manifest_that_is_none(image: Image, manifest: Any) -> None:
    image.manifest = manifest
    assert "is no container image" in refused(image)


@pytest.mark.parametrize(
    "config", [[], {"rootfs": None}, {"rootfs": {"diff_ids": 5}}, {"rootfs": {"diff_ids": [5]}}]
)
def test_a_config_that_is_none(image: Image, config: Any) -> None:
    image.config = config
    assert "is no container image" in refused(image)


def test_an_entry_without_platform_is_no_platform(image: Image) -> None:
    reference = parse_reference(image.publish())
    listed = [*image.index["manifests"], {"digest": "sha256:" + "0" * 64, "platform": None}]
    image.document({"manifests": listed}, tag="1")
    with RegistryTransport(reference.host) as transport:
        found = read_platforms(ImageRepository(transport, reference.repository), reference)
    assert list(found) == ["linux/amd64"]


# Answers that make no sense.


def says(origin: Origin, answer: Answer) -> str:
    """Ask for a manifest, with this answer; return the message about it."""
    origin.handle("/v2/a/manifests/1", lambda _: answer)
    with (
        RegistryTransport(host_of(origin), retries=ONCE) as transport,
        pytest.raises(DagError) as caught,
    ):
        ImageRepository(transport, "a").manifest("1")
    return caught.value.message


@pytest.mark.parametrize("to", ["http://[::1", "http://127.0.0.1:99999/x", "http://a..b/"])
def test_a_redirect_to_no_url(origin: Origin, to: str) -> None:
    said = says(origin, Answer.of(302, {"Location": to}))
    assert "redirects: " in said
    assert "is no URL" in said


def test_an_upload_at_no_url(origin: Origin) -> None:
    origin.handle("/v2/a/blobs/uploads/", lambda _: Answer.of(202, {"Location": "http://[::1"}))
    with (
        RegistryTransport(host_of(origin)) as transport,
        pytest.raises(RegistryError, match="asked for an upload: 'http://\\[::1' is no URL"),
    ):
        ImageRepository(transport, "a", writes=True).check_push()


@pytest.mark.parametrize(
    "headers", [{"Content-Encoding": "gzip"}, {"Content-Type": "text/plain; charset=hex"}]
)
def test_an_error_is_read_whatever_its_headers_say(origin: Origin, headers: dict[str, str]) -> None:
    said = says(origin, Answer.of(400, headers, b"oops \x1b[31mred"))
    assert said.endswith("400 oops ?[31mred")


@pytest.mark.parametrize(
    "when", ["\xb2", "Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "9" * 5000]
)
def test_a_time_to_wait_that_is_none_is_not_waited(origin: Origin, when: str) -> None:
    assert "503" in says(origin, Answer.of(503, {"Retry-After": when}))


def test_a_redirects_body_is_not_read(origin: Origin) -> None:
    headers = {"Location": origin.put("/real", b"{}"), "Content-Encoding": "gzip"}
    origin.handle("/v2/a/manifests/1", lambda _: Answer.of(302, headers, b"not packed"))
    with RegistryTransport(host_of(origin)) as transport:
        assert ImageRepository(transport, "a").manifest("1").data == b"{}"


def test_cookies_are_neither_kept_nor_looked_at(origin: Origin) -> None:
    cookies = iter(["a=\xff", "b=1", "c=1"])

    def answer(_: Incoming) -> Answer:
        return Answer.of(200, {"Set-Cookie": next(cookies)}, b"{}")

    for version in "123":
        origin.handle(f"/v2/a/manifests/{version}", answer)
    with RegistryTransport(host_of(origin)) as transport:
        for version in "123":
            ImageRepository(transport, "a").manifest(version)
    assert {exchange.request.header("cookie") for exchange in origin.exchanges} == {None}


# Answers that never end.


def test_a_document_without_an_end_is_not_read_to_it(origin: Origin) -> None:
    origin.endless("/v2/a/manifests/1")
    with (
        RegistryTransport(host_of(origin)) as transport,
        pytest.raises(RegistryError, match="has more than 4 MiB, which is the limit of a manifest"),
    ):
        ImageRepository(transport, "a").manifest("1")
    large = Blob("a/config", "sha256:" + "0" * 64, 1 << 40)
    with (
        RegistryTransport(host_of(origin)) as transport,
        pytest.raises(RegistryError, match="has more than 4 MiB, which is the limit of a manifest"),
    ):
        ImageRepository(transport, "a").blob_bytes(large)


def test_a_document_that_trickles_is_given_up(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_answers, "DOCUMENT_TIME", 0)
    origin.put("/v2/a/manifests/1", bytes(5000))
    origin.on("GET", times=None).stall(after=1)
    with (
        RegistryTransport(host_of(origin), sleep=lambda _: None) as transport,
        pytest.raises(RegistryError, match=r"was not there after 0 s \(1 bytes came\)"),
    ):
        ImageRepository(transport, "a").manifest("1")
    assert origin.count() == 3


def test_a_blob_that_trickles_is_given_up(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_answers, "STALL", 1e-9)
    monkeypatch.setattr(registry_answers, "SLOWEST", 1 << 60)
    blob = Blob("a/layer", "sha256:" + "0" * 64, 5000)
    origin.put(f"/v2/a/blobs/{blob.digest}", bytes(5000))
    origin.on("GET", times=None).stall(after=1)
    with (
        RegistryTransport(host_of(origin)) as transport,
        pytest.raises(RegistryError, match="bytes a second"),
    ):
        list(ImageRepository(transport, "a").read_blob(blob))


# Servers of tokens.


def asked_for_a_token(origin: Origin, realm: str = "") -> str:
    """Ask a registry that wants a token; return the message if that goes wrong."""

    def manifest(request: Incoming) -> Answer:
        if request.header("authorization") == "Bearer good":
            return Answer.of(200, body=b"{}")
        challenge = f'Bearer realm="{realm or origin.url + "/token"}"'
        return Answer.of(401, {"WWW-Authenticate": challenge})

    origin.handle("/v2/a/manifests/1", manifest)
    with RegistryTransport(host_of(origin), retries=ONCE) as transport:
        try:
            ImageRepository(transport, "a").manifest("1")
        except DagError as error:
            return error.message
    return ""


@pytest.mark.parametrize(
    "token",
    [
        *("s3cret\n", "s3cret\xe9", "s3cret\0", "s3cret x", "", 5, ["s3cret"], None),
        *(b'["s3cret"]', b'"s3cret"', b"[" * 200_000, b""),
    ],
)
def test_a_token_that_is_none_is_not_shown(origin: Origin, token: Any) -> None:
    body = token if isinstance(token, bytes) else json.dumps({"token": token}).encode()
    origin.put("/token", body)
    said = asked_for_a_token(origin)
    assert said.endswith("gave no token")
    assert "s3cret" not in said


def test_a_token_is_read_whatever_its_headers_say(origin: Origin) -> None:
    body = b'{"access_token":"good","token":null}'
    origin.handle("/token", lambda _: Answer.of(200, {"Content-Encoding": "gzip"}, body))
    assert asked_for_a_token(origin) == ""


@pytest.mark.parametrize("realm", ["http://[::1", "http://127.0.0.1:99999/t", "/token", "x"])
def test_a_token_server_that_is_none(origin: Origin, realm: str) -> None:
    assert f"names a token server that is none: {realm!r}" in asked_for_a_token(origin, realm)


def log_in(config: Path, host: str, **entry: str) -> None:
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps({"auths": {host: entry}}))


def test_a_token_server_that_moved_gets_the_credentials_only_where_it_was(
    origin: Origin, no_credentials: Path
) -> None:
    log_in(no_credentials, host_of(origin), username="me", password="s3cret")
    with Origin() as other:
        origin.redirect("/token", f"{origin.url}/here", status=307)
        origin.redirect("/here", f"{other.url}/there", status=307)
        other.put("/there", b'{"token":"good"}')
        assert asked_for_a_token(origin) == ""
        (here,), (there,) = origin.matching("GET", "here"), other.exchanges
        assert (here.request.header("authorization") or "").startswith("Basic ")
        assert there.request.header("authorization") is None


def test_an_identity_token_is_not_taken_elsewhere(origin: Origin, no_credentials: Path) -> None:
    log_in(no_credentials, host_of(origin), identitytoken="s3cret")
    with Origin() as other:
        other.put("/there", b'{"token":"good"}')
        origin.redirect("/token", f"{other.url}/there", status=307)
        assert "which gets no credentials" in asked_for_a_token(origin)
        assert other.count() == 0
    origin.put("/here", b'{"token":"good"}')
    origin.redirect("/token", "/here", status=308)
    assert asked_for_a_token(origin) == ""
    assert origin.count("POST", "/here") == 1
