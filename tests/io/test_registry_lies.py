"""Registries that answer what no registry should: it ends in one error, and writes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dag.core.archive import content
from dag.core.references import parse
from dag.errors import DagError, UsageError
from dag.io.bundle import push_bundle
from dag.io.platforms import platforms
from dag.io.registry import Repository, resolve
from dag.io.registry_errors import RegistryError
from dag.io.registry_http import Transport
from tests.faults import Answer, Origin

pytestmark = pytest.mark.usefixtures("no_credentials")

LINUX = {"os": "linux", "architecture": "amd64"}


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


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
    """Push on the image, and ask for its platforms; what is said of the former."""
    base = image.publish()
    with pytest.raises(DagError) as caught:
        push_bundle(f"{host_of(image.origin)}/out", [content("a", b"")], base=base)
    assert isinstance(caught.value, UsageError | RegistryError)
    with Transport(host_of(image.origin)) as transport:
        reference = parse(base)
        with suppress(RegistryError):
            platforms(Repository(transport, reference.repository), reference)
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
        push_bundle(f"{host_of(origin)}/out", [content("a", b"")], base=base)
    with pytest.raises(RegistryError, match="no digest"):
        resolve(base)
    assert not target.exists()


def test_what_is_neither_tag_nor_digest_is_not_read(origin: Origin) -> None:
    origin.put("/v2/base/manifests/md5:0", b"{}")
    with Transport(host_of(origin)) as transport, pytest.raises(RegistryError, match="not md5:0"):
        Repository(transport, "base").manifest("md5:0")


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
    reference = parse(image.publish())
    listed = [*image.index["manifests"], {"digest": "sha256:" + "0" * 64, "platform": None}]
    image.document({"manifests": listed}, tag="1")
    with Transport(reference.host) as transport:
        found = platforms(Repository(transport, reference.repository), reference)
    assert list(found) == ["linux/amd64"]
