"""Puts an image into a registry, made of a base and of layers; what is there is not sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dag.core.image import layers as bundle
from dag.core.image.descriptors import Blob
from dag.core.image.layers import Layer, LayerDigest
from dag.io.image.base import BaseImage, read_base
from dag.io.image.registry.refusals import Refused
from dag.io.image.registry.repository import ImageRepository
from dag.io.image.registry.requests import Body, RegistryTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dag.core.image.references import Reference

_THREADS = 8


@dataclass(frozen=True)
class Uploaded:
    """An image that is in a registry: the digest of its index, and what had to be sent for it."""

    digest: str
    layers: int
    """How many layers of ours were sent."""
    bytes: int
    """How many bytes were sent in all."""


@dataclass(frozen=True)
class _WantedBlob:
    """A blob that must be in the registry, and how it gets there."""

    blob: Blob
    body: Body
    source: str | None = None
    """The repository of the same registry that has it already."""


@dataclass(frozen=True)
class _Image:
    """Everything that must be in the registry, in the order in which it must come."""

    blobs: tuple[_WantedBlob, ...]
    manifests: tuple[tuple[Blob, bytes], ...]
    index: tuple[Blob, bytes]


def upload_image(
    target: Reference,
    layers: Sequence[tuple[Layer, LayerDigest]],
    *,
    base: Reference,
    insecure: bool,
    progress: Callable[[str], None],
) -> Uploaded:
    """Put layers on every platform of a base, and upload that under the target's tag.

    Raises:
        UsageError: the base is no image for Linux.
        RegistryError: a registry cannot be reached, refuses, or lacks the base or the repository.

    """
    with ExitStack() as stack:
        transport = stack.enter_context(RegistryTransport(target.host, insecure=insecure))
        mount = target.host == base.host
        other = transport if mount else stack.enter_context(RegistryTransport(base.host))
        source = ImageRepository(other, base.repository)
        repository = ImageRepository(transport, target.repository, writes=True)
        image = _make_image(read_base(source, base), source, layers, mount=mount)
        index, data = image.index
        if _is_complete(repository, image, target.version):
            return Uploaded(index.digest, 0, 0)
        own = {digest.blob.digest for _, digest in layers}
        sent, layers_sent = _upload(repository, image, own, progress, (transport, other))
        for manifest, manifest_data in image.manifests:
            repository.put_manifest(manifest.digest, manifest.media_type, manifest_data)
            sent += manifest.size
        _put_index(repository, target.version, index, data)
        return Uploaded(index.digest, layers_sent, sent + index.size)


def _make_image(
    base: BaseImage,
    source: ImageRepository,
    layers: Sequence[tuple[Layer, LayerDigest]],
    *,
    mount: bool,
) -> _Image:
    blobs: dict[str, _WantedBlob] = {}
    digests = [digest for _, digest in layers]
    for layer, digest in layers:
        body = Body(digest.blob.size, layer.compress)
        blobs[digest.blob.digest] = _WantedBlob(digest.blob, body)
    manifests: list[tuple[Blob, bytes]] = []
    platforms: list[tuple[Blob, dict[str, Any]]] = []
    for platform in base.platforms:
        config, config_data = bundle.json_blob(
            bundle.CONFIG_TYPE, bundle.image_config(platform.config, digests)
        )
        blobs[config.digest] = _WantedBlob(config, Body.of(config_data))
        for blob in bundle.base_layers(platform.manifest):
            copied = Body(blob.size, lambda blob=blob: source.read_blob(blob))  # type: ignore[misc]
            blobs[blob.digest] = _WantedBlob(blob, copied, source.name if mount else None)
        manifest, manifest_data = bundle.json_blob(
            bundle.MANIFEST_TYPE, bundle.image_manifest(platform.manifest, config, digests)
        )
        manifests.append((manifest, manifest_data))
        platforms.append((manifest, platform.platform))
    index = bundle.json_blob(bundle.INDEX_TYPE, bundle.image_index(platforms, base.digest))
    return _Image(tuple(blobs.values()), tuple(manifests), index)


def _is_complete(repository: ImageRepository, image: _Image, tag: str) -> bool:
    # An index alone proves nothing: registries' garbage collectors have deleted the manifests that
    # only an index names. https://github.com/distribution/distribution/issues/3178
    index, _ = image.index
    if repository.digest_of(tag) != index.digest:
        return False
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(repository.digest_of, [blob.digest for blob, _ in image.manifests])
        return None not in list(found)


def _upload(
    repository: ImageRepository,
    image: _Image,
    own: set[str],
    progress: Callable[[str], None],
    transports: Iterable[RegistryTransport],
) -> tuple[int, int]:
    """Upload what is missing; return how many bytes were sent, and how many layers of ours."""
    sent = layers_sent = 0
    pool = ThreadPoolExecutor(_THREADS)
    uploads = {
        pool.submit(repository.upload, wanted.blob, wanted.body, source=wanted.source): wanted.blob
        for wanted in image.blobs
    }
    try:
        for done in as_completed(uploads):
            if count := done.result():
                sent += count
                layers_sent += uploads[done].digest in own
                progress(f"uploaded {uploads[done].digest[:19]} ({count:,} bytes)")
    except BaseException:
        # Nobody waits for those that a registry lets wait, Ctrl-C least of all.
        for transport in transports:
            transport.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return sent, layers_sent


def _put_index(repository: ImageRepository, tag: str, index: Blob, data: bytes) -> None:
    try:
        repository.put_manifest(tag, index.media_type, data)
    except Refused as refusal:
        # A repository whose tags may not be moved, where the base's tag has moved: the pod names
        # the digest anyway.
        if refusal.status not in (400, 405, 409, 412):
            raise
        repository.put_manifest(index.digest, index.media_type, data)
