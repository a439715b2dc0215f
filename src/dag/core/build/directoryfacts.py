"""What only the machine of the definitions can tell of their directory, for whoever builds elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from dag.core.package.apk import Digest
from dag.core.package.problems import FileProblem


class DirectoryFacts(Struct, frozen=True, kw_only=True):
    """What git and melange tell of a directory of definitions, for one architecture."""

    epochs: dict[str, int]
    """When what is each package's own was last touched, in seconds since 1970."""
    refused: dict[str, tuple[FileProblem, ...]]
    """What is wrong with definitions that melange cannot compile, by their files."""
    inputs: Digest
    """A hash of what goes into all units besides packages; see `hash_of_inputs`."""


def hash_of_inputs(own: Mapping[str, str]) -> str:
    """Return a hash that tells whether units are the same, given the hash of each one's own inputs."""
    return hashlib.sha256(msgspec.json.encode(sorted(own.items()))).hexdigest()
