"""What this machine remembers of agents' images: layers as they are sent, and digests."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dag.core.decoding import Undecodable, decode
from dag.core.image.descriptors import Blob, is_digest
from dag.core.image.layers import LAYER_TYPE, Layer, LayerDigest
from dag.core.limits import REGISTRY_DOCUMENT, TooLarge
from dag.io import durable
from dag.io.files import read_bytes
from dag.io.image.assembly import ReadyLayer

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 20


class _LayerRecord(msgspec.Struct, frozen=True):
    digest: str
    size: int
    diff_id: str


class _ImageRecord(msgspec.Struct, frozen=True):
    digest: str


_LAYER = msgspec.json.Decoder(_LayerRecord)
_IMAGE = msgspec.json.Decoder(_ImageRecord)


def agent_directory() -> Path:
    """Return the directory in which agents' images are remembered."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "dag" / "agent"


class KeptLayers:
    """Layers that took long to make, by the key of what they were made from."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, key: str) -> ReadyLayer | None:
        """Return the layer of that key, if it is here as a whole."""
        try:
            data = read_bytes(self._directory / f"{key}.json", REGISTRY_DOCUMENT)
            record = decode(_LAYER, data, limit=REGISTRY_DOCUMENT.most)
            path = self._path(key)
            if path.stat().st_size != record.size:
                return None
        except (OSError, TooLarge, Undecodable):
            return None
        if not (is_digest(record.digest) and is_digest(record.diff_id)):
            return None
        blob = Blob(LAYER_TYPE, record.digest, record.size)
        return ReadyLayer(LayerDigest(blob, record.diff_id), partial(_read, path))

    def keep(self, key: str, layer: Layer) -> ReadyLayer:
        """Write a layer here, and return it as it is read from here."""
        self._directory.mkdir(parents=True, exist_ok=True)
        digest = layer.digest()
        path = self._path(key)
        with durable.replacing(path) as file:
            file.writelines(layer.compress())
        record = _LayerRecord(digest.blob.digest, digest.blob.size, digest.diff_id)
        durable.write(self._directory / f"{key}.json", msgspec.json.encode(record))
        return ReadyLayer(digest, partial(_read, path))

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}.tar.zst"


def find_image(directory: Path, key: str) -> str | None:
    """Return the digest of the agent's image that was made here from what `key` names."""
    try:
        data = read_bytes(directory / f"{key}.image.json", REGISTRY_DOCUMENT)
        digest = decode(_IMAGE, data, limit=REGISTRY_DOCUMENT.most).digest
    except (OSError, TooLarge, Undecodable):
        return None
    return digest if is_digest(digest) else None


def keep_image(directory: Path, key: str, digest: str) -> None:
    """Remember the digest of an image; where nothing can be written, it is made anew each time."""
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        durable.write(directory / f"{key}.image.json", msgspec.json.encode(_ImageRecord(digest)))


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
