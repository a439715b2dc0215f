"""Puts an image into a registry, made of a base and of layers; what is there is not sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dag.io.image.assembly import Addition, AssembledImage, Document, assemble
from dag.io.image.base import Platform, read_base
from dag.io.image.registry.refusals import Refused
from dag.io.image.registry.repository import ImageRepository
from dag.io.image.registry.requests import Body, RegistryTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dag.core.image.descriptors import Blob
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


def upload_image(
    target: Reference,
    addition: Callable[[Platform], Addition | None],
    *,
    base: Reference,
    insecure: bool,
    progress: Callable[[str], None],
) -> Uploaded:
    """Put what is added on the platforms of a base, and upload that under the target's tag.

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
        image = assemble(read_base(source, base), addition)
        index = image.index
        if _is_complete(repository, image, target.version):
            return Uploaded(index.blob.digest, 0, 0)
        own = {layer.digest.blob.digest for layer in image.layers}
        wanted = _wanted_blobs(image, source, mount=mount)
        sent, layers_sent = _upload(repository, wanted, own, progress, (transport, other))
        for manifest in image.manifests:
            blob = manifest.blob
            repository.put_manifest(blob.digest, blob.media_type, manifest.data)
            sent += blob.size
        _put_index(repository, target.version, index)
        return Uploaded(index.blob.digest, layers_sent, sent + index.blob.size)


def _wanted_blobs(
    image: AssembledImage, source: ImageRepository, *, mount: bool
) -> list[_WantedBlob]:
    """Return every blob of the image, and how each gets there."""
    own = [
        _WantedBlob(one.digest.blob, Body(one.digest.blob.size, one.read)) for one in image.layers
    ]
    configs = [_WantedBlob(one.blob, Body.of(one.data)) for one in image.configs]
    name = source.name if mount else None
    copied = [
        _WantedBlob(blob, Body(blob.size, partial(source.read_blob, blob)), name)
        for blob in image.base_layers
    ]
    return [*own, *configs, *copied]


def _is_complete(repository: ImageRepository, image: AssembledImage, tag: str) -> bool:
    # An index alone proves nothing: registries' garbage collectors have deleted the manifests that
    # only an index names. https://github.com/distribution/distribution/issues/3178
    if repository.digest_of(tag) != image.index.blob.digest:
        return False
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(repository.digest_of, [one.blob.digest for one in image.manifests])
        return None not in list(found)


def _upload(
    repository: ImageRepository,
    blobs: Iterable[_WantedBlob],
    own: set[str],
    progress: Callable[[str], None],
    transports: Iterable[RegistryTransport],
) -> tuple[int, int]:
    """Upload what is missing; return how many bytes were sent, and how many layers of ours."""
    sent = layers_sent = 0
    pool = ThreadPoolExecutor(_THREADS)
    uploads = {
        pool.submit(repository.upload, wanted.blob, wanted.body, source=wanted.source): wanted.blob
        for wanted in blobs
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


def _put_index(repository: ImageRepository, tag: str, index: Document) -> None:
    media_type, digest = index.blob.media_type, index.blob.digest
    try:
        repository.put_manifest(tag, media_type, index.data)
    except Refused as refusal:
        # A repository whose tags may not be moved, where the base's tag has moved: the pod names
        # the digest anyway.
        if refusal.status not in (400, 405, 409, 412):
            raise
        repository.put_manifest(digest, media_type, index.data)
