"""Images without a daemon: an OCI layout on disk, which is pushed to a registry over HTTP.

The formats are those of the OCI image specification v1.1 and distribution specification v1.1.
"""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message
    from pathlib import Path

_TYPE = "application/vnd.oci.image"
_MANIFEST = f"{_TYPE}.manifest.v1+json"


def write_layout(
    layout: Path, layer: Path, config: dict[str, object], architecture: str = "amd64"
) -> None:
    """Write the image of one uncompressed `layer` into the new directory `layout`.

    The file of the layer is moved. Nothing is compressed, because the image is only sent over
    loopback. `config` has the defaults of a container: `Cmd`, `Env` and others.
    """
    (layout / "blobs" / "sha256").mkdir(parents=True)
    layer_digest = _file_digest(layer)
    size = layer.stat().st_size
    layer.rename(_blob(layout, layer_digest))
    image = {
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _add(layout, image, f"{_TYPE}.config.v1+json"),
        "layers": [
            {"mediaType": f"{_TYPE}.layer.v1.tar", "digest": layer_digest, "size": size},
        ],
    }
    index = {"schemaVersion": 2, "manifests": [_add(layout, manifest, _MANIFEST)]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def push(layout: Path, registry: str, name: str, tag: str) -> str:
    """Push the image in `layout` to `registry`/`name`:`tag`, and return its digest."""
    repository = f"http://{registry}/v2/{name}"
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = _blob(layout, entry["digest"]).read_bytes()
    content = json.loads(manifest)
    for part in (content["config"], *content["layers"]):
        _push_blob(layout, repository, part["digest"])
    headers = {"Content-Type": _MANIFEST}
    _request("PUT", f"{repository}/manifests/{tag}", data=manifest, headers=headers)
    return str(entry["digest"])


def push_index(registry: str, name: str, tag: str, images: Mapping[str, str]) -> str:
    """Push an index of `images`, the digest by architecture, and return the digest of the index."""
    repository = f"http://{registry}/v2/{name}"
    entries = []
    for architecture, digest in images.items():
        said = _request("HEAD", f"{repository}/manifests/{digest}", headers={"Accept": _MANIFEST})
        entries.append(
            {
                "mediaType": _MANIFEST,
                "digest": digest,
                "size": int(said["Content-Length"]),
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    kind = f"{_TYPE}.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
    _request("PUT", f"{repository}/manifests/{tag}", data=index, headers={"Content-Type": kind})
    return f"sha256:{hashlib.sha256(index).hexdigest()}"


def _push_blob(layout: Path, repository: str, digest: str) -> None:
    try:
        _request("HEAD", f"{repository}/blobs/{digest}")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
    else:
        return
    place = _request("POST", f"{repository}/blobs/uploads/", data=b"")["Location"]
    path = _blob(layout, digest)
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(path.stat().st_size),
    }
    with path.open("rb") as file:
        _request("PUT", f"{place}&digest={digest}", data=file, headers=headers)


def _request(
    method: str,
    url: str,
    data: bytes | BinaryIO | None = None,
    headers: Mapping[str, str] | None = None,
) -> Message:
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)
    with urllib.request.urlopen(request, timeout=120) as response:
        answer: Message = response.headers
        return answer


def _add(layout: Path, content: Mapping[str, object], media_type: str) -> dict[str, object]:
    data = json.dumps(content, sort_keys=True).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    _blob(layout, digest).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
