"""`dag image`: makes the agent's image, and finds the one for a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dag.core.image.agent import default_base
from dag.core.image.references import Reference, parse_reference, parse_repository
from dag.errors import UsageError
from dag.io.image.agent.make import is_agent, make_agent, remembered_agent
from dag.io.image.agent.place import push_agent, save_agent
from dag.io.image.base import BaseImage, read_base

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.core.image.options import ImageOptions

_MAKES = "`dag image --push` makes one and prints its name"


@dataclass(frozen=True, slots=True)
class MadeImage:
    """The agent's image as it was made."""

    digest: str
    reference: str | None
    """Its name in a registry, by digest; None if it was not pushed."""


def make_image(options: ImageOptions, tell: Callable[[str], None]) -> MadeImage:
    """Make the agent's image, and put it where the options say.

    Raises:
        UsageError: the base is none that can run dag.
        InfrastructureError: a registry refuses, or the wheels cannot be fetched.

    """
    base = options.base or default_base()
    insecure = options.insecure_registry
    agent = make_agent(base, insecure=insecure, progress=tell)
    if options.save is not None:
        save_agent(agent, Path(options.save), insecure=insecure)
        tell(f"{options.save} has {agent.digest}")
    if options.push is None:
        return MadeImage(agent.digest, None)
    reference, uploaded = push_agent(agent, options.push, insecure=insecure, progress=tell)
    tell(f"agent {reference}: {uploaded.bytes:,} bytes sent")
    return MadeImage(agent.digest, str(reference))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChoice:
    """The image below a bundle: an agent's that is there, or a Python image to make one on."""

    agent: str | None = None
    """An agent's image that is in a registry."""
    base: str | None = None
    """A Python image, or again an agent's; without either there is a default."""

    def known(self, repository: str) -> Reference:
        """Return the agent's image as far as it is known without a registry.

        It has a digest if this machine has made it before.
        """
        if self.agent is not None:
            return parse_reference(self.agent)
        base = self.base or default_base()
        target = parse_repository(repository)
        if (digest := remembered_agent(base)) is not None:
            return target.with_digest(digest)
        return target.with_tag("agent")

    def push(self, repository: str, *, insecure: bool, tell: Callable[[str], None]) -> Reference:
        """Make sure that the agent's image is in a registry; return its name by digest.

        Raises:
            UsageError: an image is none that can be used.
            InfrastructureError: a registry refuses, or the wheels cannot be fetched.

        """
        given = self.agent or self.base
        if given is not None:
            reference, image = _read(given, insecure=insecure)
            if is_agent(image):
                return reference
            if self.agent is not None:
                raise UsageError(f"{given} is no image of dag's agent", hint=_MAKES)
            given = str(reference)
        agent = make_agent(given or default_base(), insecure=insecure, progress=tell)
        reference, uploaded = push_agent(agent, repository, insecure=insecure, progress=tell)
        if uploaded.bytes:
            tell(f"agent {reference}: {uploaded.bytes:,} bytes sent")
        return reference


def _read(given: str, *, insecure: bool) -> tuple[Reference, BaseImage]:
    from dag.io.image.registry.repository import ImageRepository
    from dag.io.image.registry.requests import RegistryTransport

    image = parse_reference(given)
    with RegistryTransport(image.host, insecure=insecure) as transport:
        found = read_base(ImageRepository(transport, image.repository), image)
    return image.with_digest(found.digest), found
