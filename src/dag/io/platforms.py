"""Which platforms an image is for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dag.core.bundle import Blob
from dag.io.registry import Repository, require_digest
from dag.io.registry_errors import RegistryError

if TYPE_CHECKING:
    from dag.core.references import Reference


def platforms(repository: Repository, image: Reference) -> list[str]:
    """Name the platforms of an image, like `linux/arm64/v8`.

    Raises:
        RegistryError: the registry fails, refuses or has no such image.

    """
    manifest = repository.manifest(image.digest or require_digest(repository, image))
    try:
        document = json.loads(manifest.data)
        if "manifests" in document:
            # Attestations lie beside the images with the platform unknown/unknown.
            listed = [entry.get("platform", {}) for entry in document["manifests"]]
            return [_name(one) for one in listed if one.get("os", "unknown") != "unknown"]
        config = document["config"]
        blob = Blob(config["mediaType"], config["digest"], config["size"])
        return [_name(json.loads(repository.blob_bytes(blob)))]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RegistryError(f"{image} is no container image") from None


def _name(platform: dict[str, Any]) -> str:
    parts = (platform[key] for key in ("os", "architecture", "variant") if platform.get(key))
    return "/".join(parts)
