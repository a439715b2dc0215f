"""Reads the base image of a bundle: the manifest and config of every platform with Linux.

They are named by digest, so a copy on this machine is as good as the registry's. That matters:
Docker Hub counts every manifest that is read as a pull, and a push would need a dozen of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dag.core.image.descriptors import Blob, parse_digest, parse_object
from dag.core.image.layers import base_layers
from dag.core.limits import REGISTRY_DOCUMENT, TooLarge
from dag.errors import UsageError
from dag.io import durable
from dag.io.files import read_bytes

if TYPE_CHECKING:
    from dag.core.image.references import Reference
    from dag.io.image.registry.repository import ImageRepository

_THREADS = 8


@dataclass(frozen=True)
class Platform:
    """A platform of the base: what an index says of it, its manifest and its config."""

    platform: dict[str, Any]
    manifest: dict[str, Any]
    config: dict[str, Any]


@dataclass(frozen=True)
class BaseImage:
    """A base image by its digest, with its platforms in the order of its index."""

    digest: str
    platforms: tuple[Platform, ...]


def read_base(repository: ImageRepository, image: Reference) -> BaseImage:
    """Return what an image needs to know of its base, from a copy where this machine has one.

    Raises:
        RegistryError: the registry fails, refuses or has no such image.
        UsageError: it is no image for Linux.

    """
    # The HTTP stack, which is not needed where this machine has every document.
    from dag.io.image.registry.repository import require_digest

    digest = image.digest or require_digest(repository, image)
    try:
        top = _read_document(digest, lambda: repository.manifest(digest).data)
        if "manifests" not in top:
            return BaseImage(digest, (_read_platform(repository, top),))
        entries = _linux_entries(top["manifests"])
        if not entries:
            raise UsageError(
                f"the base image {image} has no platform with Linux",
                hint="name another image with --bundle-base, or for `dag image` with --base",
            )
        with ThreadPoolExecutor(_THREADS) as pool:
            platforms = pool.map(lambda entry: _read_entry(repository, *entry), entries)
            return BaseImage(digest, tuple(platforms))
    except ValueError as error:
        raise UsageError(f"the base image {image} is no container image: {error}") from None


def read_known_base(digest: str) -> BaseImage | None:
    """Return a base of which this machine has every document; no registry is asked."""
    try:
        return _read_known(digest)
    except (LookupError, ValueError):
        return None


def _read_known(digest: str) -> BaseImage:
    top = _read_document(digest, _not_here)
    if "manifests" not in top:
        return BaseImage(digest, (_read_platform(None, top),))
    entries = _linux_entries(top["manifests"])
    return BaseImage(digest, tuple(_read_entry(None, *entry) for entry in entries))


def _not_here() -> bytes:
    raise LookupError("this machine has no copy of it")


def keep_documents(documents: Iterable[bytes]) -> None:
    """Keep manifests, configs and indexes, as if they had been read from a registry."""
    for data in documents:
        digest = hashlib.sha256(data).hexdigest()
        _keep_copy(_cache_directory() / f"sha256-{digest}", data)


def _linux_entries(described: object) -> list[tuple[str, dict[str, Any]]]:
    """Return the digest and the platform of each entry of an index that is for Linux.

    Attestations lie beside the images with the platform unknown/unknown.
    """
    if not isinstance(described, list) or not all(isinstance(one, dict) for one in described):
        raise ValueError("its index is none")
    platforms = [(one.get("digest"), one.get("platform")) for one in described]
    return [
        (parse_digest(digest), platform)
        for digest, platform in platforms
        if isinstance(platform, dict) and platform.get("os") == "linux"
    ]


def _read_entry(
    repository: ImageRepository | None, digest: str, platform: dict[str, Any]
) -> Platform:
    fetch = _not_here if repository is None else lambda: repository.manifest(digest).data
    return _read_platform(repository, _read_document(digest, fetch), platform)


def _read_platform(
    repository: ImageRepository | None,
    manifest: dict[str, Any],
    platform: dict[str, Any] | None = None,
) -> Platform:
    base_layers(manifest)
    blob = Blob.parse(manifest.get("config"))
    fetch = _not_here if repository is None else lambda: repository.blob_bytes(blob)
    config = _read_document(blob.digest, fetch)
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list):
        raise ValueError("its config has no layers")  # noqa: TRY004
    for diff_id in diff_ids:
        parse_digest(diff_id)
    own = {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}
    return Platform(platform or own, manifest, config)


def _read_document(digest: str, fetch: Callable[[], bytes]) -> dict[str, Any]:
    path = _cache_directory() / parse_digest(digest).replace(":", "-")
    data = _read_copy(path, digest)
    if data is None:
        data = fetch()
        _keep_copy(path, data)
    try:
        return parse_object(data)
    except ValueError as error:
        raise ValueError(f"{digest}: {error}") from None


def _cache_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "dag" / "images"


def _read_copy(path: Path, digest: str) -> bytes | None:
    try:
        data = read_bytes(path, REGISTRY_DOCUMENT)
    except (OSError, TooLarge):
        return None
    return data if f"sha256:{hashlib.sha256(data).hexdigest()}" == digest else None


def _keep_copy(path: Path, data: bytes) -> None:
    # Only a saving: where nothing can be written, it is read anew each time.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write(path, data, lasting=False)
