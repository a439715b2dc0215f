"""What a client tells the driver of a detached run, and what that says at the end.

It travels in the arguments of one container, like the order of a unit. It has no secret: whoever may
look at Jobs can read it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from dag.core.arch import apk_name
from dag.core.build.directoryfacts import DirectoryFacts
from dag.core.decoding import Undecodable, decode
from dag.core.flagtexts import options_of
from dag.core.jobs.answers import MESSAGE
from dag.core.jobs.capacity import ClusterCapacity
from dag.core.jobs.history import MOST_WORDS
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.packing import pack_words, unpack_object
from dag.core.limits import HANDOVER
from dag.core.store.layout import is_run_id
from dag.errors import UsageError

_ById = Annotated[str, Meta(max_length=2000, pattern=r"^\S+@sha256:[0-9a-f]{64}\Z")]
"""The name of an image by digest, as nodes know it."""


class Handover(Struct, frozen=True, kw_only=True):
    """A build that a client has planned, and that is driven in the cluster."""

    run: str
    client: Annotated[str, Meta(min_length=32, max_length=128)]
    """The name by which all Pods of the driver know the Lease that one of them holds."""
    job: str
    """The name of the driver's Job."""
    agent: _ById
    """The agent's image."""
    bundle: _ById
    """The image of the directory of the definitions, on top of that."""
    flags: dict[str, tuple[str, ...]]
    """What was asked for; see `dag.core.flagtexts`."""
    facts: dict[str, DirectoryFacts]
    """What the client knows of the definitions, by the architecture as apk names it."""
    capacity: dict[str, ClusterCapacity] = {}
    """What it has seen of the nodes, which the driver may not look at."""

    def __post_init__(self) -> None:
        """Refuse what no client would hand over, also where it is read.

        Raises:
            ValueError: the run or an architecture is none, or a flag cannot be read or is missing.

        """
        if not is_run_id(self.run):
            raise ValueError("its run is none")
        if any(apk_name(arch) != arch for arch in self.facts):
            raise ValueError("an architecture is none")
        try:
            options = self.options()
        except UsageError as error:
            raise ValueError(error.message) from error
        if {arch.apk for arch in options.arch} != self.facts.keys():
            raise ValueError("nothing is known for an architecture")

    def options(self) -> UnitBuildOptions:
        """Return what was asked for, as the driver understands it.

        Raises:
            UsageError: a flag cannot be read.

        """
        return options_of(UnitBuildOptions, self.flags)


class DriverEnd(Struct, frozen=True, kw_only=True):
    """How a detached run has ended, in the driver's last words."""

    exit_code: int
    words: str = ""
    """Why, if no result says so."""
    hint: str = ""


def mark_of(bundle: str, flags: Mapping[str, tuple[str, ...]]) -> str:
    """Return a hash by which a driver is known that does just this."""
    return hashlib.sha256(msgspec.json.encode([bundle, sorted(flags.items())])).hexdigest()


_ROOM = 1900
"""Bytes of a termination message that are surely kept."""
_HANDOVER = msgspec.msgpack.Decoder(Handover)
_END = msgspec.json.Decoder(DriverEnd)


def encode_handover(handover: Handover) -> list[str]:
    """Return a handover as words for the arguments of a container.

    Raises:
        UsageError: they are too long.

    """
    words = pack_words(msgspec.msgpack.encode(handover))
    if sum(map(len, words)) > MOST_WORDS:
        raise UsageError(
            "what a driver in the cluster would have to know is too long for a Job",
            hint="build without --detach, or name fewer packages",
        )
    return words


def decode_handover(words: Iterable[str]) -> Handover:
    """Return the handover that `encode_handover` has written.

    Raises:
        Undecodable: it is something else.

    """
    return unpack_object(_HANDOVER, words, HANDOVER)


def encode_end(end: DriverEnd) -> str:
    """Return how a run has ended as a termination message; too many words are cut."""
    most, data = _ROOM, msgspec.json.encode(end)
    while len(data) > _ROOM:
        most //= 2
        short = DriverEnd(exit_code=end.exit_code, words=end.words[:most], hint=end.hint[:most])
        data = msgspec.json.encode(short)
    return data.decode()


def decode_end(message: str) -> DriverEnd:
    """Return the end in a termination message.

    Raises:
        Undecodable: it is something else.

    """
    found = decode(_END, message.encode(), limit=MESSAGE)
    if not 0 <= found.exit_code < 256:
        raise Undecodable(f"{found.exit_code} is no exit code")
    return found
