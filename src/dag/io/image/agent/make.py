"""Makes the agent's image on a Python image, and puts it into a registry or a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dag.core.image.agent import (
    AGENT_ROOT,
    LABEL,
    WHEEL_PLATFORMS,
    agent_key,
    defaults,
    files_digest,
    with_byte_code,
)
from dag.core.image.layers import Layer
from dag.core.image.references import Reference, parse_reference
from dag.errors import UsageError
from dag.io.image.agent.facts import read_facts
from dag.io.image.agent.kept import KeptLayers, agent_directory, find_image, keep_image
from dag.io.image.agent.own import own_files, read_lock
from dag.io.image.agent.wheels import wheels_layer
from dag.io.image.assembly import Addition, ReadyLayer, assemble
from dag.io.image.base import BaseImage, Platform, keep_documents, read_base, read_known_base

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class AgentImage:
    """An agent's image as this machine makes it."""

    base: Reference
    """Its Python image, by digest."""
    digest: str
    """The digest of its index."""
    additions: dict[str, Addition] = field(repr=False)
    """What it has over the base, by architecture."""

    @property
    def tag(self) -> str:
        """The tag under which it is pushed."""
        return self.digest.replace("sha256:", "agent-")

    def addition(self, platform: Platform) -> Addition | None:
        """Return what the image has over its base on a platform, if it has that platform."""
        return self.additions.get(_architecture(platform))


def remembered_agent(base: str) -> str | None:
    """Return the digest of the agent's image on this base, if this machine has made it before.

    No registry is asked; a base that has only a tag could be another one today.
    """
    digest = parse_reference(base).digest
    if digest is None:
        return None
    found = find_image(agent_directory(), _key(digest))
    return found if found is not None and read_known_base(found) is not None else None


def make_agent(
    base: str, *, insecure: bool = False, progress: Callable[[str], None] = lambda _: None
) -> AgentImage:
    """Return the agent's image on a Python image; what was made before is not made again.

    `insecure` is for the registry of the base.

    Raises:
        UsageError: the base is none that can run dag.
        RegistryError: its registry fails, refuses or has no such image.
        InfrastructureError: the wheels cannot be fetched.

    """
    from dag.io.image.registry.repository import ImageRepository
    from dag.io.image.registry.requests import RegistryTransport

    image = parse_reference(base)
    directory = agent_directory()
    with RegistryTransport(image.host, insecure=insecure) as transport:
        repository = ImageRepository(transport, image.repository)
        found = read_base(repository, image)
        platforms = [one for one in found.platforms if _architecture(one) in WHEEL_PLATFORMS]
        if not platforms:
            raise UsageError(
                f"{base} is for none of the architectures of dag's wheels:"
                f" {', '.join(WHEEL_PLATFORMS)}"
            )
        for platform in platforms:
            name = f"{base} ({_architecture(platform)})"
            read_facts(repository, platform, directory, progress).check(name)
    files = own_files()
    own = files_digest(files)
    entries = sorted(with_byte_code(files), key=lambda one: one.path)
    layer = Layer(tuple(entries), AGENT_ROOT)
    shared = ReadyLayer.of(layer, layer.digest())
    kept = KeptLayers(directory)
    additions = {
        name: Addition((wheels_layer(name, kept, progress), shared), defaults(platform.config, own))
        for platform in platforms
        for name in (_architecture(platform),)
    }
    made = assemble(found, lambda platform: additions.get(_architecture(platform)))
    keep_documents(one.data for one in (made.index, *made.manifests, *made.configs))
    digest = made.index.blob.digest
    keep_image(directory, _key(found.digest), digest)
    return AgentImage(base=image.with_digest(found.digest), digest=digest, additions=additions)


def is_agent(image: BaseImage) -> bool:
    """Return whether an image is an agent's, made here or elsewhere."""
    configs = [one.config.get("config") for one in image.platforms]
    return bool(configs) and all(
        isinstance(config, dict) and LABEL in (config.get("Labels") or {}) for config in configs
    )


def _key(base: str) -> str:
    return agent_key(base, read_lock(), files_digest(own_files()))


def _architecture(platform: Platform) -> str:
    return str(platform.platform.get("architecture", ""))
