"""Which platforms an image is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dag.core.image.descriptors import Blob, parse_digest, parse_object
from dag.io.image.registry.refusals import RegistryError
from dag.io.image.registry.repository import ImageRepository, require_digest

if TYPE_CHECKING:
    from dag.core.image.references import Reference


def platforms(repository: ImageRepository, image: Reference) -> dict[str, str]:
    """Give the platforms of an image, like `linux/arm64/v8`, and the digest of each one's manifest.

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
                _name(platform): parse_digest(one.get("digest"))
                for platform, one in listed
                if platform.get("os", "unknown") != "unknown"
            }
        blob = Blob.parse(document.get("config"))
        return {_name(parse_object(repository.blob_bytes(blob))): digest}
    except (ValueError, TypeError, AttributeError):
        raise RegistryError(f"{image} is no container image") from None


def _name(platform: dict[str, Any]) -> str:
    parts = (platform[key] for key in ("os", "architecture", "variant") if platform.get(key))
    return "/".join(parts)
