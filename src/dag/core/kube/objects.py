"""Kubernetes objects: dicts as the API has them, so that no field is ever lost.

A manifest that a server names carries the hash of itself. So what carries our labels and was made by
somebody else, or by us of something else, is told from what was made of this very manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KubeObject = dict[str, Any]
"""An object of the API, or a part of one, that we make or have just received."""
KubeView = Mapping[str, Any]
"""The same for whoever only reads it."""

SPEC_ANNOTATION = "dag/spec"
"""The annotation with the SHA-256 of the manifest, in hexadecimal."""


def events_path(about: KubeView) -> str:
    """Return where the API server keeps the Events of an object's namespace."""
    return f"/api/v1/namespaces/{about['metadata']['namespace']}/events"


def selects_events(about: KubeView) -> str:
    """Return the field selector of the Events about an object."""
    return f"involvedObject.uid={about['metadata']['uid']}"


def seal(manifest: KubeView) -> KubeObject:
    """Return a manifest that carries the hash of all that it asks for."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    annotations = {
        **manifest["metadata"].get("annotations", {}),
        SPEC_ANNOTATION: hashlib.sha256(text.encode()).hexdigest(),
    }
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def is_made_of(found: KubeView, manifest: KubeView) -> bool:
    """Return whether an object was made of this very manifest, which `seal` has returned.

    What webhooks and the server itself have added does not count.
    """
    return seal_of(found) is not None and seal_of(found) == seal_of(manifest)


def seal_of(found: KubeView) -> str | None:
    """Return the hash that an object carries, or None."""
    annotations = found["metadata"].get("annotations")
    return annotations.get(SPEC_ANNOTATION) if isinstance(annotations, dict) else None
