"""Puts layers on every platform of a base: the documents of the image, and the blobs it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dag.core.image import layers as documents
from dag.core.image.descriptors import Blob
from dag.core.image.layers import Layer, LayerDigest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dag.io.image.base import BaseImage, Platform


@dataclass(frozen=True)
class ReadyLayer:
    """A layer whose digests are known, and a way to read it as it is stored, any number of times."""

    digest: LayerDigest
    read: Callable[[], Iterable[bytes]] = field(compare=False, repr=False)

    @classmethod
    def of(cls, layer: Layer, digest: LayerDigest) -> ReadyLayer:
        """Return the layer that is made anew whenever it is read."""
        return cls(digest, layer.compress)


@dataclass(frozen=True)
class Addition:
    """What an image has over its base on one platform."""

    layers: Sequence[ReadyLayer]
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Defaults of its containers, such as `Entrypoint`, that take the place of the base's."""


@dataclass(frozen=True)
class Document:
    """A manifest, a config or an index, with its bytes."""

    blob: Blob
    data: bytes


@dataclass(frozen=True)
class AssembledImage:
    """All that makes an image: what is ours, and the layers of the base."""

    index: Document
    manifests: tuple[Document, ...]
    configs: tuple[Document, ...]
    layers: tuple[ReadyLayer, ...]
    """Our own, each once."""
    base_layers: tuple[Blob, ...]


def assemble(base: BaseImage, addition: Callable[[Platform], Addition | None]) -> AssembledImage:
    """Return the image that has the additions on its base; a platform without one is left out."""
    manifests: list[Document] = []
    configs: list[Document] = []
    platforms: list[tuple[Blob, Mapping[str, object]]] = []
    layers: dict[str, ReadyLayer] = {}
    below: dict[str, Blob] = {}
    for platform in base.platforms:
        if (added := addition(platform)) is None:
            continue
        digests = [layer.digest for layer in added.layers]
        described = platform.config
        if added.defaults:
            described = {**described, "config": {**described.get("config", {}), **added.defaults}}
        config = _document(documents.CONFIG_TYPE, documents.image_config(described, digests))
        described = documents.image_manifest(platform.manifest, config.blob, digests)
        manifest = _document(documents.MANIFEST_TYPE, described)
        configs.append(config)
        manifests.append(manifest)
        platforms.append((manifest.blob, platform.platform))
        layers |= {layer.digest.blob.digest: layer for layer in added.layers}
        below |= {blob.digest: blob for blob in documents.base_layers(platform.manifest)}
    index = _document(documents.INDEX_TYPE, documents.image_index(platforms, base.digest))
    return AssembledImage(
        index, tuple(manifests), tuple(configs), tuple(layers.values()), tuple(below.values())
    )


def _document(media_type: str, content: object) -> Document:
    return Document(*documents.json_blob(media_type, content))
