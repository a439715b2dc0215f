"""Bundles of directories: digests one without any registry, or pushes it to one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dag.core.image import layers as bundle
from dag.core.image.layers import Layer
from dag.core.image.references import Reference, parse_reference, parse_repository
from dag.io.image.assembly import Addition, ReadyLayer, assemble
from dag.io.image.base import read_known_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dag.core.image.archive import Entry
    from dag.core.image.layers import LayerDigest

BUSYBOX = (
    "docker.io/library/busybox:1.36.1"
    "@sha256:73aaf090f3d85aa34ee199857f03fa3a95c8ede2ffd4cc2cdb5b94e566b11662"
)
"""busybox 1.36.1 for every platform: a shell, 2 MB, and nothing that runs by itself."""

_DIGEST_THREADS = 2


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """A bundle that is in a registry, or would be.

    `reference` is what a pod names. `content` is the digest of the files and the base's name: it
    is known without any registry, and the same for a dry run and a push. `digest` is the image
    index's if that is known, else `content`. `layers` are the bundle's own, without the base's.
    """

    reference: str
    digest: str
    content: str
    layers: tuple[LayerDigest, ...]
    layers_uploaded: int = 0
    bytes_uploaded: int = 0


def digest_bundle(bundle_repo: str, entries: Iterable[Entry], *, base: str) -> Pushed:
    """Return what a bundle would be called in a registry, without asking any.

    The digest of the image covers the base's manifests, so it is known only if this machine has
    these. But a bundle is also pushed under a tag that is made of its content, `bundle-` and 64 hex
    digits, and that is what this names otherwise: pushing the same files on the same base makes just
    this reference exist.

    Raises:
        UsageError: a reference is none, or an entry cannot be stored.

    """
    target = parse_repository(bundle_repo)
    layers = bundle.split_layers(entries)
    digests = _digest_layers(layers)
    base_reference = parse_reference(base)
    content = _content_digest(digests, base_reference)
    digest, reference = content, target.with_tag(_content_tag(content))
    known = read_known_base(base_reference.digest) if base_reference.digest else None
    if known is not None:
        digest = assemble(known, lambda _: _addition(layers, digests)).index.blob.digest
        reference = target.with_digest(digest)
    return Pushed(reference=str(reference), digest=digest, content=content, layers=digests)


def push_bundle(
    bundle_repo: str,
    entries: Iterable[Entry],
    *,
    base: str,
    insecure: bool = False,
    digested: Pushed | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Pushed:
    """Push a bundle and return its name by digest; what the registry has already is not sent.

    `digested` is what `digest_bundle` made of the same entries, which saves doing it again.
    `insecure` is for the bundle's registry; the base's is asked over https if it is another one.
    `progress` gets a line for each thing that takes its time, from this thread.

    Raises:
        UsageError: a reference is none, or an entry cannot be stored, or changed meanwhile.
        RegistryError: a registry cannot be reached, refuses, or lacks the base or the repository.

    """
    # The HTTP stack takes longer to import than a dry run takes as a whole.
    from dag.io.image.upload import upload_image

    target, base_reference = parse_repository(bundle_repo), parse_reference(base)
    layers = bundle.split_layers(entries)
    digests = digested.layers if digested else _digest_layers(layers)
    content = _content_digest(digests, base_reference)
    uploaded = upload_image(
        target.with_tag(_content_tag(content)),
        lambda _: _addition(layers, digests),
        base=base_reference,
        insecure=insecure,
        progress=progress,
    )
    return Pushed(
        reference=str(target.with_digest(uploaded.digest)),
        digest=uploaded.digest,
        content=content,
        layers=digests,
        layers_uploaded=uploaded.layers,
        bytes_uploaded=uploaded.bytes,
    )


def _addition(layers: Sequence[Layer], digests: Sequence[LayerDigest]) -> Addition:
    return Addition([ReadyLayer.of(*one) for one in zip(layers, digests, strict=True)])


def _digest_layers(layers: Sequence[Layer]) -> tuple[LayerDigest, ...]:
    # Hashing and compressing leave Python's lock, so a second thread reads meanwhile.
    with ThreadPoolExecutor(_DIGEST_THREADS) as pool:
        return tuple(pool.map(Layer.digest, layers))


def _content_digest(digests: Iterable[LayerDigest], base: Reference) -> str:
    return bundle.content_digest(digests, base.digest or str(base.with_tag(base.version)))


def _content_tag(content: str) -> str:
    return content.replace("sha256:", "bundle-")
