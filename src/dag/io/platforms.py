"""Which platforms an image is for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dag.core.bundle import Blob
from dag.io.registry import Repository, require_digest
from dag.io.registry_errors import RegistryError

if TYPE_CHECKING:
    from dag.core.references import Reference


def platforms(repository: Repository, image: Reference) -> dict[str, str]:
    """Give the platforms of an image, like `linux/arm64/v8`, and the digest of each one's manifest.

    Raises:
        RegistryError: the registry fails, refuses or has no such image.

    """
    digest = image.digest or require_digest(repository, image)
    manifest = repository.manifest(digest)
    try:
        document = json.loads(manifest.data)
        if "manifests" in document:
            # Attestations lie beside the images with the platform unknown/unknown.
            listed = [(one.get("platform", {}), one["digest"]) for one in document["manifests"]]
            return {
                _name(platform): found
                for platform, found in listed
                if platform.get("os", "unknown") != "unknown"
            }
        config = document["config"]
        blob = Blob(config["mediaType"], config["digest"], config["size"])
        return {_name(json.loads(repository.blob_bytes(blob))): digest}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RegistryError(f"{image} is no container image") from None


def _name(platform: dict[str, Any]) -> str:
    parts = (platform[key] for key in ("os", "architecture", "variant") if platform.get(key))
    return "/".join(parts)
