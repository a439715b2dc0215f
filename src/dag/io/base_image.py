"""The base image of a bundle: every Linux platform's manifest and config, kept on this machine.

They are named by digest, so a copy is as good as the registry's. That matters: Docker Hub counts
every manifest that is read as a pull, and a push would need a dozen of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dag.core.bundle import Blob
from dag.errors import InfrastructureError, UsageError
from dag.io.registry import Repository, require_digest

if TYPE_CHECKING:
    from dag.core.references import Reference

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


def read_base(repository: Repository, image: Reference) -> BaseImage:
    """Read what the bundle needs to know of its base, from this machine's copy where there is one.

    Raises:
        RegistryError: the registry fails, refuses or has no such image.
        UsageError: it is no image for Linux.

    """
    digest = image.digest or require_digest(repository, image)
    top = _document(digest, lambda: repository.manifest(digest).data)
    if "manifests" not in top:
        platform = _platform(repository, top)
        return BaseImage(digest, (platform,))
    # Attestations lie beside the images with the platform unknown/unknown.
    entries = [
        entry for entry in top["manifests"] if entry.get("platform", {}).get("os") == "linux"
    ]
    if not entries:
        raise UsageError(f"the base image {image} has no platform with Linux")
    with ThreadPoolExecutor(_THREADS) as pool:
        platforms = pool.map(lambda entry: _of_entry(repository, entry), entries)
        return BaseImage(digest, tuple(platforms))


def _of_entry(repository: Repository, entry: dict[str, Any]) -> Platform:
    digest = str(entry["digest"])
    manifest = _document(digest, lambda: repository.manifest(digest).data)
    return _platform(repository, manifest, entry["platform"])


def _platform(
    repository: Repository, manifest: dict[str, Any], platform: dict[str, Any] | None = None
) -> Platform:
    try:
        described = manifest["config"]
        blob = Blob(described["mediaType"], described["digest"], described["size"])
        config = _document(blob.digest, lambda: repository.blob_bytes(blob))
        own = {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}
        list(config["rootfs"]["diff_ids"])
    except (KeyError, TypeError):
        raise UsageError(
            f"the base image {repository.host}/{repository.name} is no container image"
        ) from None
    return Platform(platform or own, manifest, config)


def _document(digest: str, fetch: Callable[[], bytes]) -> dict[str, Any]:
    path = _cache_directory() / digest.replace(":", "-")
    data = _cached(path, digest)
    if data is None:
        data = fetch()
        _store(path, data)
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise InfrastructureError(f"{digest} of the base image is no JSON object")
    return document


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
