"""The base image of a bundle: every Linux platform's manifest and config, kept on this machine.

They are named by digest, so a copy is as good as the registry's. That matters: Docker Hub counts
every manifest that is read as a pull, and a push would need a dozen of them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dag.core.image.descriptors import Blob, parse_digest, parse_object
from dag.core.image.layers import base_layers
from dag.errors import UsageError
from dag.io.image.registry.repository import ImageRepository, require_digest

if TYPE_CHECKING:
    from dag.core.image.references import Reference

_THREADS = 8


@dataclass(frozen=True)
class Platform:
    """One platform of the base: what an index says of it, its manifest and its config."""

    platform: dict[str, Any]
    manifest: dict[str, Any]
    config: dict[str, Any]


@dataclass(frozen=True)
class BaseImage:
    """The base image by its digest, with its platforms in the order of its index."""

    digest: str
    platforms: tuple[Platform, ...]


def read_base(repository: ImageRepository, image: Reference) -> BaseImage:
    """Read what the bundle needs to know of its base, from this machine's copy where there is one.

    Raises:
        RegistryError: the registry fails, refuses or has no such image.
        UsageError: it is no image for Linux.

    """
    digest = image.digest or require_digest(repository, image)
    try:
        top = _document(digest, lambda: repository.manifest(digest).data)
        if "manifests" not in top:
            return BaseImage(digest, (_platform(repository, top),))
        entries = _entries(top["manifests"])
        if not entries:
            raise UsageError(f"the base image {image} has no platform with Linux")
        with ThreadPoolExecutor(_THREADS) as pool:
            platforms = pool.map(lambda entry: _of_entry(repository, *entry), entries)
            return BaseImage(digest, tuple(platforms))
    except ValueError as error:
        raise UsageError(f"the base image {image} is no container image: {error}") from None


def _entries(described: object) -> list[tuple[str, dict[str, Any]]]:
    """The digest and the platform of each entry of an index that is for Linux.

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


def _of_entry(repository: ImageRepository, digest: str, platform: dict[str, Any]) -> Platform:
    manifest = _document(digest, lambda: repository.manifest(digest).data)
    return _platform(repository, manifest, platform)


def _platform(
    repository: ImageRepository, manifest: dict[str, Any], platform: dict[str, Any] | None = None
) -> Platform:
    base_layers(manifest)
    blob = Blob.parse(manifest.get("config"))
    config = _document(blob.digest, lambda: repository.blob_bytes(blob))
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list):
        raise ValueError("its config has no layers")  # noqa: TRY004
    for diff_id in diff_ids:
        parse_digest(diff_id)
    own = {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}
    return Platform(platform or own, manifest, config)


def _document(digest: str, fetch: Callable[[], bytes]) -> dict[str, Any]:
    path = _cache_directory() / parse_digest(digest).replace(":", "-")
    data = _cached(path, digest)
    if data is None:
        data = fetch()
        _store(path, data)
    try:
        return parse_object(data)
    except ValueError as error:
        raise ValueError(f"{digest}: {error}") from None


def _cache_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "dag" / "images"


def _cached(path: Path, digest: str) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if f"sha256:{hashlib.sha256(data).hexdigest()}" == digest else None


def _store(path: Path, data: bytes) -> None:
    # Only a saving: where nothing can be written, it is read anew each time.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink()
            raise
