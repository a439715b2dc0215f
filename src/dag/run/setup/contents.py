"""What objects of `dag setup` have in them that lies elsewhere: in files, or at URLs."""

from __future__ import annotations

import base64
from pathlib import Path

from dag.core.kube.objects import KubeObject
from dag.core.limits import CREDENTIALS
from dag.core.setup.steps import KeepFiles, require_published_kind
from dag.errors import InfrastructureError
from dag.io.files import read_bytes
from dag.io.setup.manifests import fetch_manifests


async def fetch_published(url: str) -> list[KubeObject]:
    """Return the objects that a project publishes, of kinds that one expects there."""
    manifests = await fetch_manifests(url)
    for one in manifests:
        require_published_kind(one)
    return manifests


def with_files(step: KeepFiles) -> KubeObject:
    """Return a Secret with its content.

    Raises:
        InfrastructureError: a file cannot be read.

    """
    try:
        data = {key: read_bytes(Path(path), CREDENTIALS) for key, path in step.files.items()}
    except OSError as error:
        raise InfrastructureError(f"{error.filename}: {error.strerror}") from error
    encoded = {key: base64.b64encode(one).decode() for key, one in data.items()}
    return {**step.manifest, "data": encoded}
