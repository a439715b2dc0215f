"""Puts the agent's image into a registry or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.core.image.references import parse_repository
from dag.errors import InfrastructureError
from dag.io import durable
from dag.io.image.assembly import assemble
from dag.io.image.base import read_base
from dag.io.image.layout import write_layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dag.core.image.references import Reference
    from dag.io.image.agent.make import AgentImage
    from dag.io.image.upload import Uploaded


def push_agent(
    agent: AgentImage,
    repository: str,
    *,
    insecure: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Reference, Uploaded]:
    """Push the image to a repository, and return its name by digest and what was sent.

    Raises:
        RegistryError: a registry cannot be reached or refuses.

    """
    from dag.io.image.upload import upload_image

    target = parse_repository(repository)
    uploaded = upload_image(
        target.with_tag(agent.tag),
        agent.addition,
        base=agent.base,
        insecure=insecure,
        progress=progress,
    )
    return target.with_digest(uploaded.digest), uploaded


def save_agent(agent: AgentImage, path: Path, *, insecure: bool = False) -> None:
    """Write the image to a file, as an OCI layout in a tar archive.

    Raises:
        RegistryError: the registry of its base cannot be reached or refuses.
        InfrastructureError: the file cannot be written.

    """
    from dag.io.image.registry.repository import ImageRepository
    from dag.io.image.registry.requests import RegistryTransport

    with RegistryTransport(agent.base.host, insecure=insecure) as transport:
        repository = ImageRepository(transport, agent.base.repository)
        image = assemble(read_base(repository, agent.base), agent.addition)
        try:
            with durable.replacing(path) as file:
                write_layout(file, image, agent.tag, repository.read_blob)
        except OSError as error:
            raise InfrastructureError(f"{path} cannot be written: {error.strerror}") from error
