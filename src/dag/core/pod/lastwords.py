"""The error with which a container of the agent ends, as the words that its Pod's status keeps."""

from __future__ import annotations

from dataclasses import dataclass

from dag.core.build.scripts import Trailer, read_trailer
from dag.core.kube.objects import KubeView
from dag.core.pod.status import termination
from dag.errors import sentence

_ROOM, _ROOM_FOR_HINT = 2000, 600
"""Bytes; Kubernetes keeps 4 KiB of a container, and 12 KiB of all containers of a Pod together."""
_HINT = "\nhint: "


@dataclass(frozen=True, slots=True)
class LastWords:
    """What failed in a container, and what to do about it, if it says so."""

    message: str
    hint: str | None = None

    def __str__(self) -> str:
        """Return both as words that may stand within a sentence."""
        return sentence(self.message, self.hint)


def encode_last_words(message: str, hint: str | None = None) -> str:
    """Return an error as a termination message, which people may read as it is; what is too long is cut."""
    # A stranger's text within the message shall not be taken for what we say to do.
    first = message.replace(_HINT, _HINT.replace("\n", "\n "))
    last = _HINT + _cut(hint, _ROOM_FOR_HINT) if hint else ""
    return _cut(first, _ROOM - len(last.encode())) + last


def read_last_words(ended: KubeView) -> LastWords | None:
    """Return what a container said that has ended, from how it ended; None if it said nothing."""
    message, _, hint = str(ended.get("message", "")).partition(_HINT)
    return LastWords(message.strip(), hint.strip() or None) if message.strip() else None


def counted_log(container: KubeView) -> Trailer | None:
    """Return the last line of the build's script, as its Pod's status has it, given how the container is.

    It is None as long as the container runs, and of one that runs something else.
    """
    lines = str((termination(container) or {}).get("message", "")).splitlines()
    return read_trailer(lines[-1]) if lines else None


def _cut(text: str, most: int) -> str:
    """Return as much of a text as has `most` bytes."""
    data = text.encode(errors="backslashreplace")
    return data[:most].decode(errors="ignore")
