"""The bundle in a registry: a base image that can copy itself out, and the layers of a directory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dag.core import bundle
from dag.core.bundle import Blob, Layer, LayerDigest
from dag.core.references import Reference, parse, parse_repository
from dag.io.base_image import BaseImage, read_base
from dag.io.registry import Repository
from dag.io.registry_errors import Refused
from dag.io.registry_http import Body, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dag.core.archive import Entry

DEFAULT_BASE = (
    "docker.io/library/busybox:1.36.1"
    "@sha256:73aaf090f3d85aa34ee199857f03fa3a95c8ede2ffd4cc2cdb5b94e566b11662"
)
"""busybox 1.36.1 for every platform: a shell and `cp -a`, 2 MB, and nothing that runs by itself."""

_THREADS = 8


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """A bundle that is in a registry, or would be.

    `reference` is what a pod names. `content` is the digest of the files and the base's name: it
    is known without any registry, and the same for a dry run and a push. `digest` is the image
    index's when it was pushed, else `content`. `layers` are the bundle's own, without the base's.
    """

    reference: str
    digest: str
    content: str
    layers: tuple[LayerDigest, ...]
    layers_uploaded: int = 0
    bytes_uploaded: int = 0


@dataclass(frozen=True)
class _Image:
    """Everything that must be in the registry, in the order in which it must come."""

    blobs: tuple[tuple[Blob, Body, str | None], ...]
    manifests: tuple[tuple[Blob, bytes], ...]
    index: tuple[Blob, bytes]


def digest_bundle(
    bundle_repo: str, entries: Iterable[Entry], *, base: str = DEFAULT_BASE
) -> Pushed:
    """Digest a bundle without asking any registry.

    The digest of the image covers the base's manifests, which only a registry knows. So a bundle
    is also pushed under a tag that is made of its content, `bundle-` and 64 hex digits, and that
    is what this names: pushing the same files on the same base makes just this reference exist.

    Raises:
        UsageError: a reference is none, or an entry cannot be stored.

    """
    target = parse_repository(bundle_repo)
    layers = bundle.layers(entries)
    digests = _digest_layers(layers)
    content = _content(digests, parse(base))
    reference = str(target.tagged(_tag(content)))
    return Pushed(reference=reference, digest=content, content=content, layers=digests)


def push_bundle(
    bundle_repo: str,
    entries: Iterable[Entry],
    *,
    base: str = DEFAULT_BASE,
    insecure: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Pushed:
    """Push a bundle and name it by digest; what the registry has already is not sent.

    `insecure` is for the bundle's registry; the base's is asked over https if it is another one.
    `progress` gets a line for each thing that takes its time, from this thread.

    Raises:
        UsageError: a reference is none, or an entry cannot be stored, or changed meanwhile.
        RegistryError: a registry cannot be reached, refuses, or lacks the base or the repository.

    """
    target, base_reference = parse_repository(bundle_repo), parse(base)
    layers = bundle.layers(entries)
    digests = _digest_layers(layers)
    content = _content(digests, base_reference)
    with ExitStack() as stack:
        transport = stack.enter_context(Transport(target.host, insecure=insecure))
        same_host = target.host == base_reference.host
        other = transport if same_host else stack.enter_context(Transport(base_reference.host))
        source = Repository(other, base_reference.repository)
        repository = Repository(transport, target.repository, writes=True)
        base_image = read_base(source, base_reference)
        image = _image(base_image, source, layers, digests, mount=same_host)
        tag = _tag(content)
        index, index_data = image.index
        sent = layers_sent = 0
        if not _is_complete(repository, image, tag):
            sent, layers_sent = _upload(repository, image, digests, progress, (transport, other))
            for manifest, data in image.manifests:
                repository.put_manifest(manifest.digest, manifest.media_type, data)
                sent += manifest.size
            _put_index(repository, tag, index, index_data)
            sent += index.size
    return Pushed(
        reference=str(target.at(index.digest)),
        digest=index.digest,
        content=content,
        layers=digests,
        layers_uploaded=layers_sent,
        bytes_uploaded=sent,
    )


def _digest_layers(layers: Sequence[Layer]) -> tuple[LayerDigest, ...]:
    return tuple(layer.digest() for layer in layers)


def _content(digests: Iterable[LayerDigest], base: Reference) -> str:
    return bundle.content_digest(digests, base.digest or str(base.tagged(base.version)))


def _tag(content: str) -> str:
    return content.replace("sha256:", "bundle-")


def _image(
    base: BaseImage,
    source: Repository,
    layers: Sequence[Layer],
    digests: tuple[LayerDigest, ...],
    *,
    mount: bool,
) -> _Image:
    blobs: dict[str, tuple[Blob, Body, str | None]] = {}
    for layer, digest in zip(layers, digests, strict=True):
        body = Body(digest.blob.size, layer.compressed)
        blobs[digest.blob.digest] = (digest.blob, body, None)
    manifests: list[tuple[Blob, bytes]] = []
    platforms: list[tuple[Blob, dict[str, Any]]] = []
    for platform in base.platforms:
        config, config_data = bundle.json_blob(
            bundle.CONFIG_TYPE, bundle.image_config(platform.config, digests)
        )
        blobs[config.digest] = (config, Body.of(config_data), None)
        for blob in bundle.base_layers(platform.manifest):
            copied = Body(blob.size, lambda blob=blob: source.read_blob(blob))  # type: ignore[misc]
            blobs[blob.digest] = (blob, copied, source.name if mount else None)
        manifest, manifest_data = bundle.json_blob(
            bundle.MANIFEST_TYPE, bundle.image_manifest(platform.manifest, config, digests)
        )
        manifests.append((manifest, manifest_data))
        platforms.append((manifest, platform.platform))
    index = bundle.json_blob(bundle.INDEX_TYPE, bundle.image_index(platforms, base.digest))
    return _Image(tuple(blobs.values()), tuple(manifests), index)


def _is_complete(repository: Repository, image: _Image, tag: str) -> bool:
    # An index alone proves nothing: registries' garbage collectors have deleted the manifests that
    # only an index names. https://github.com/distribution/distribution/issues/3178
    index, _ = image.index
    if repository.digest_of(tag) != index.digest:
        return False
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(repository.digest_of, [blob.digest for blob, _ in image.manifests])
        return None not in list(found)


def _upload(
    repository: Repository,
    image: _Image,
    digests: Iterable[LayerDigest],
    progress: Callable[[str], None],
    transports: Iterable[Transport],
) -> tuple[int, int]:
    """Upload what is missing; the bytes that were sent, and how many of the bundle's layers."""
    own = {digest.blob.digest for digest in digests}
    sent = layers_sent = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        uploads = {
            pool.submit(repository.upload, blob, body, source=source): blob
            for blob, body, source in image.blobs
        }
        try:
            for done in as_completed(uploads):
                if count := done.result():
                    sent += count
                    layers_sent += uploads[done].digest in own
                    progress(f"uploaded {uploads[done].digest[:19]} ({count:,} bytes)")
        except BaseException:
            for transport in transports:
                transport.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sent, layers_sent


def _put_index(repository: Repository, tag: str, index: Blob, data: bytes) -> None:
    try:
        repository.put_manifest(tag, index.media_type, data)
    except Refused as refusal:
        # A repository whose tags may not be moved, where the base's tag has moved: the pod names
        # the digest anyway.
        if refusal.status not in (400, 405, 409, 412):
            raise
        repository.put_manifest(index.digest, index.media_type, data)
