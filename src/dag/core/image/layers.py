"""Makes reproducible image layers of file entries, and the image around them.

The same entries give the same bytes on every machine. Layers are compressed with zstd, which
containerd reads since 1.5, and whose output depends on the version of libzstd alone: the lock file
fixes it through the wheel that brings it. zlib's depends on what the distribution built. Measured
on 3,401 definitions (12.4 MB of tar, in 40 layers): stored 12.4 MB, zstd -3 2.1 MB in 0.11 s, -9
1.9 MB in 0.28 s, -19 1.8 MB in 6.8 s; as one layer, gzip -6 takes 1.8 MB and 0.31 s. What names a
bundle's content, and is the same with every release, is the digest of the uncompressed layers.

Nothing here holds more than a piece of a layer: a cache of gigabytes goes the same way.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import zstandard

from dag.core.image.archive import Directory, Entry, File, archive, archive_size, parents
from dag.core.image.descriptors import Blob
from dag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BUNDLE_ROOT = "bundle"
"""The directory of the image that holds the entries: `cp -a /bundle/. /workspace/`."""

SMALL_LAYERS = 40
LARGE_LAYERS = 20
LARGE_FILE = 1 << 20
"""A file's path and size class alone say which layer holds it, so that no other file's coming,
going or changing can move it. 40 + 20 layers and the base's stay far below the 127 that overlay
mounts allow; a directory of definitions fills 40 and re-sends 1/39 for a changed file. Files from
1 MiB on have layers of their own kind, so that a small neighbour's change does not re-send them."""

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
"""https://github.com/opencontainers/image-spec/blob/main/media-types.md"""

DOCKER_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
_OCI_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": (
        "application/vnd.oci.image.layer.v1.tar+gzip"
    ),
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}

BASE_DIGEST_ANNOTATION = "org.opencontainers.image.base.digest"
"""https://github.com/opencontainers/image-spec/blob/main/annotations.md"""

_EPOCH = "1970-01-01T00:00:00Z"
_ZSTD_LEVEL = 3
_PIECE = 1 << 18
"""Bytes that are hashed and compressed at once. Fixed, because the boundaries of what a compressor
is fed may show in what it writes."""


@dataclass(frozen=True)
class Layer:
    """The entries of one layer, sorted. Its bytes can be made any number of times."""

    entries: tuple[Entry, ...]
    root: str = BUNDLE_ROOT
    """The directory of the image that holds them."""

    def tar(self) -> Iterator[bytes]:
        """Return the layer as a tar archive, in pieces of any size."""
        return archive(self.entries, self.root)

    def compress(self) -> Iterator[bytes]:
        """Return the layer as it is sent and stored, in pieces."""
        compressor = self._compressor()
        for piece in _pieces(self.tar()):
            if data := compressor.compress(piece):
                yield data
        yield compressor.flush()

    def digest(self) -> LayerDigest:
        """Read every entry, and return the digests that name the layer."""
        plain, packed, size = hashlib.sha256(), hashlib.sha256(), 0
        compressor = self._compressor()
        for piece in _pieces(self.tar()):
            plain.update(piece)
            data = compressor.compress(piece)
            packed.update(data)
            size += len(data)
        data = compressor.flush()
        packed.update(data)
        blob = Blob(LAYER_TYPE, f"sha256:{packed.hexdigest()}", size + len(data))
        return LayerDigest(blob, f"sha256:{plain.hexdigest()}")

    def _compressor(self) -> zstandard.ZstdCompressionObj:
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        return compressor.compressobj(size=archive_size(self.entries, self.root))


@dataclass(frozen=True)
class LayerDigest:
    """The blob of a layer, and the digest of the tar archive in it."""

    blob: Blob
    diff_id: str


def split_layers(entries: Iterable[Entry]) -> list[Layer]:
    """Return entries in at most `SMALL_LAYERS + LARGE_LAYERS` layers, in a fixed order.

    Raises:
        UsageError: two entries have one path, a path is not relative and plain, or a name starts
            with `.wh.`, which would delete files of other layers
            (https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts).

    """
    by_path: dict[str, Entry] = {}
    for entry in entries:
        _check_path(entry.path)
        if by_path.setdefault(entry.path, entry) is not entry:
            raise UsageError(f"{entry.path} is in the bundle twice")
    for path in by_path:
        for parent in parents(path):
            if not isinstance(by_path.get(parent, Directory(parent)), Directory):
                raise UsageError(f"{parent} cannot be a file and hold {path}")
    groups: dict[int, list[Entry]] = defaultdict(list)
    for path in sorted(by_path):
        groups[_group_of(by_path[path])].append(by_path[path])
    # Without any entry the image must still have the directory that the pod copies.
    return [Layer(tuple(groups[group])) for group in sorted(groups)] or [Layer(())]


def content_digest(digests: Iterable[LayerDigest], base: str) -> str:
    """Return the name of a bundle's content, made of its layers' archives and its base.

    No registry is asked for it.

    `base` is the base's digest where it has one, else its name and tag.
    """
    return _sha256(canonical_json({"base": base, "layers": [d.diff_id for d in digests]}))


def image_config(base: Mapping[str, Any], digests: Iterable[LayerDigest]) -> dict[str, Any]:
    """Return the config of a platform's image: the base's, with the layers appended.

    The history, which is optional, is left out: it holds the times of the base's steps.
    """
    kept = ("architecture", "os", "variant", "os.version", "os.features", "config")
    diff_ids = [*base["rootfs"]["diff_ids"], *(digest.diff_id for digest in digests)]
    return {
        "created": _EPOCH,
        **{key: base[key] for key in kept if base.get(key)},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }


def image_manifest(
    base: Mapping[str, Any], config: Blob, digests: Iterable[LayerDigest]
) -> dict[str, Any]:
    """Return the manifest of a platform's image: the base's layers, then the bundle's."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(),
        "layers": [
            *(layer.descriptor() for layer in base_layers(base)),
            *(digest.blob.descriptor() for digest in digests),
        ],
    }


def base_layers(manifest: Mapping[str, Any]) -> list[Blob]:
    """Return the layers of a base's manifest, with OCI's media types in the place of Docker's.

    The bytes are the same. zstd exists only in OCI manifests, which may not hold Docker's types.

    Raises:
        ValueError: it has no layers, or one of them is none; the text says so.

    """
    described = manifest.get("layers")
    if not isinstance(described, list):
        raise ValueError("it has no layers")  # noqa: TRY004
    blobs = [Blob.parse(layer) for layer in described]
    return [
        Blob(_OCI_TYPES.get(blob.media_type, blob.media_type), blob.digest, blob.size)
        for blob in blobs
    ]


def image_index(
    manifests: Iterable[tuple[Blob, Mapping[str, Any]]], base_digest: str
) -> dict[str, Any]:
    """Return the index of all platforms, given the blob and platform of each manifest in order."""
    return {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [
            {**manifest.descriptor(), "platform": dict(platform)}
            for manifest, platform in manifests
        ],
        "annotations": {BASE_DIGEST_ANNOTATION: base_digest},
    }


def canonical_json(document: object) -> bytes:
    """Return JSON whose bytes depend on nothing but what it says."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def json_blob(media_type: str, document: object) -> tuple[Blob, bytes]:
    """Return a document's blob and its bytes."""
    data = canonical_json(document)
    return Blob(media_type, _sha256(data), len(data)), data


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _group_of(entry: Entry) -> int:
    number = int.from_bytes(hashlib.sha256(entry.path.encode()).digest()[:8])
    if isinstance(entry, File) and entry.size >= LARGE_FILE:
        return SMALL_LAYERS + number % LARGE_LAYERS
    return number % SMALL_LAYERS


def _check_path(path: str) -> None:
    for name in path.split("/"):
        if name in ("", ".", "..") or "\0" in name:
            raise UsageError(f"{path!r} is no relative path")
        if name.startswith(".wh."):
            raise UsageError(
                f"{path} cannot be stored in an image layer: a name that starts with .wh. means"
                " a deleted file there",
                hint="rename it, or name it in .dagignore",
            )


def _pieces(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Return a stream in pieces of `_PIECE` bytes, the last one shorter."""
    held: list[bytes] = []
    length = 0
    for data in stream:
        held.append(data)
        length += len(data)
        if length >= _PIECE:
            gathered = b"".join(held)
            cut = length - length % _PIECE
            for start in range(0, cut, _PIECE):
                yield gathered[start : start + _PIECE]
            held, length = [gathered[cut:]], length - cut
    if length:
        yield b"".join(held)
