"""The images of a build in a cluster: pushed by a client, or known to a driver that was told them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from dag.core.jobs.handover import Handover
from dag.io.image.tree import DirectoryTree
from dag.report.terminal import Terminal


class Images(Protocol):
    """What finds the images of a build; see `BundleTarget`, which pushes them."""

    def resolve(self, images: Iterable[str]) -> dict[str, str]:
        """Return the name by digest of each image."""

    def push_agent(self, terminal: Terminal) -> str:
        """Return the agent's image, as nodes know it, which is in its registry from then on."""

    def push(self, tree: DirectoryTree, terminal: Terminal) -> str:
        """Return the image of a directory, as nodes know it, which is in its registry from then on."""


@dataclass(frozen=True, slots=True)
class HandedImages:
    """Images that a client has pushed."""

    handed: Handover

    def resolve(self, images: Iterable[str]) -> dict[str, str]:
        """Return the images as they are: the client has found out their digests."""
        return {one: one for one in images}

    def push_agent(self, _: Terminal) -> str:
        """Return the agent's image."""
        return self.handed.agent

    def push(self, _tree: DirectoryTree, _terminal: Terminal) -> str:
        """Return the image of the directory."""
        return self.handed.bundle
