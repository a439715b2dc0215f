"""Reads which platforms an image is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dag.core.image.descriptors import Blob, parse_digest, parse_object
from dag.io.image.registry.refusals import RegistryError
from dag.io.image.registry.repository import ImageRepository, require_digest

if TYPE_CHECKING:
    from dag.core.image.references import Reference


def read_platforms(repository: ImageRepository, image: Reference) -> dict[str, str]:
    """Return the platforms of an image, like `linux/arm64/v8`, with the digest of each manifest.

    Raises:
        RegistryError: the registry fails, refuses or has no such image.

    """
    digest = image.digest or require_digest(repository, image)
    manifest = repository.manifest(digest)
    try:
        document = parse_object(manifest.data)
        if "manifests" in document:
            # Attestations lie beside the images with the platform unknown/unknown.
            listed = [(one.get("platform") or {}, one) for one in document["manifests"]]
            return {
                _platform_name(platform): parse_digest(one.get("digest"))
                for platform, one in listed
                if platform.get("os", "unknown") != "unknown"
            }
        blob = Blob.parse(document.get("config"))
        return {_platform_name(parse_object(repository.blob_bytes(blob))): digest}
    except (ValueError, TypeError, AttributeError):
        raise RegistryError(f"{image} is no container image") from None


def _platform_name(platform: dict[str, Any]) -> str:
    parts = (platform[key] for key in ("os", "architecture", "variant") if platform.get(key))
    return "/".join(parts)
