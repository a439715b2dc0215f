"""The errors that end a command: each class knows its exit code, each error its remedy.

Exit codes: 1 the build failed, 2 the request was wrong, 3 the environment failed, 130 interrupted.
Only `dag.cli.main` turns them into text; everything below raises.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class DagError(Exception):
    """What failed, in one sentence or more, and a hint that says what to do about it."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BuildError(DagError):
    """The build itself failed: make, a source's checksum, an OOM kill, `--timeout`."""

    exit_code = 1


class UsageError(DagError):
    """The request was wrong: a bad flag, an unknown package, a bad definition."""

    exit_code = 2


class InfrastructureError(DagError):
    """Something around the build failed: cluster, registry, network, permissions, a lost node."""

    exit_code = 3


class Interrupted(DagError):
    """Somebody pressed Ctrl-C or sent SIGTERM."""

    exit_code = 130


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def sentence(message: str, hint: str | None) -> str:
    """Return what failed and what to do about it as words that may stand within others."""
    return f"{message} ({hint})" if hint else message


def one_line(message: str) -> str:
    """Return a message of several lines as one: each line is a sentence, an indented one goes on with it."""
    told = ""
    for line in filter(str.strip, message.splitlines()):
        if told:
            told += " " if line[0].isspace() or told[-1] in ".:;!?" else ". "
        told += " ".join(line.split())
    return told


def words_of(error: Exception) -> str:
    """Return an error in words that may stand within others.

    One of the system has the file that it is about, and no number; one of ours has its hint.
    """
    if isinstance(error, DagError):
        return sentence(error.message, error.hint)
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error) or type(error).__name__
    file = error.filename2 or error.filename
    if isinstance(file, bytes):
        file = file.decode(errors="surrogateescape")
    where = "" if file is None or isinstance(file, int) else f"{file}: "
    more = "; make room there, or use another disk" if error.errno in _NO_ROOM else ""
    return f"{where}{error.strerror}{more}"


def first_of(group: BaseExceptionGroup[DagError]) -> DagError:
    """Choose one error of those that tasks raised at once: a command ends with one message."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, DagError)  # noqa: S101  # what except* has selected
    return error
