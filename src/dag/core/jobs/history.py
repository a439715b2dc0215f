"""What the client tells an agent of a run that has ended, so that the store keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from dag.core.jobs.packing import pack_words, unpack_object
from dag.core.limits import RUN_FILES

MOST_WORDS = 900_000
"""Characters; etcd takes no object above 1.5 MiB, and the Pod of a Job has all of them once more."""


class RunFiles(Struct, frozen=True, array_like=True):
    """The files of a run."""

    journal: bytes
    result: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """What a client wants to know of the runs of a store."""

    run: str = ""
    """How the ids of the runs begin; empty for the latest one."""
    unit: str = ""
    """The unit whose log is wanted, too; without `run` of the latest run that has one."""
    every: bool = False
    """Whether all runs are wanted."""
    page: bool = False
    """Whether a page is wanted: the run before it, and the ends of the logs of what failed, too."""


_FILES = msgspec.msgpack.Decoder(RunFiles)


def encode_files(files: RunFiles) -> list[str]:
    """Return the files of a run as words for the arguments of a container; none if they are too long."""
    words = pack_words(msgspec.msgpack.encode(files))
    return words if sum(map(len, words)) <= MOST_WORDS else []


def decode_files(words: Iterable[str]) -> RunFiles:
    """Return the files that `encode_files` has written.

    Raises:
        Undecodable: they are something else.

    """
    return unpack_object(_FILES, words, RUN_FILES)
