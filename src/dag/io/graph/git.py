"""Questions to git about the directory of the definitions."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dag.core.build.epochs import Commit
from dag.core.limits import GIT_STATE
from dag.errors import InfrastructureError, UsageError
from dag.io.files import read_text

_LOG_HEAD = re.compile(rb"\x01([0-9a-f]{40,64}) ([0-9]+)")
_LATEST = 8**11 - 1
"""Seconds since 1970: the header of tar has 11 octal digits for them.
https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html"""
_MOST_DIGITS = 20
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


def last_commit_time(directory: Path) -> int | None:
    """Return when the last commit that touches `directory` was made, in seconds since 1970.

    None where there is no git, no repository or no commit yet.
    """
    try:
        process = subprocess.run(
            ["git", "-C", str(directory), "log", "-1", "--format=%ct", "--", "."],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    answer = process.stdout.strip()
    return int(answer) if process.returncode == 0 and answer.isdigit() else None


def commits(directory: Path) -> Iterator[Commit]:
    """Yield the commits of HEAD that touch `directory`, the latest first; none where there is no git.

    Paths are relative to `directory`. Of a merge only those count that no parent had like that.
    """
    shallow = _shallow_boundary(directory)
    words = ["log", "-z", "--name-only", "--no-renames", "--no-notes", "--no-show-signature"]
    words += ["-c", "--relative", "--format=%x01%H %ct", "--", "."]
    try:
        process = subprocess.Popen(
            ["git", "-C", str(directory), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return
    with process:
        try:
            assert process.stdout is not None  # noqa: S101
            yield from _read_log(process.stdout, shallow)
        finally:
            process.kill()  # whoever asks need not want all of them


def _read_log(log: IO[bytes], shallow: frozenset[str]) -> Iterator[Commit]:
    head: tuple[str, int] | None = None
    paths: list[str] = []
    for word in _words(log):
        if found := _LOG_HEAD.fullmatch(word):
            if head is not None:
                yield Commit(head[1], tuple(paths), is_boundary=head[0] in shallow)
            head, paths = (found[1].decode(), int(found[2])), []
        elif word:
            paths.append(os.fsdecode(word.removeprefix(b"\n")))
    if head is not None:
        yield Commit(head[1], tuple(paths), is_boundary=head[0] in shallow)


def _words(log: IO[bytes]) -> Iterator[bytes]:
    """Yield what zeros are between."""
    rest = b""
    while data := log.read(1 << 16):
        *words, rest = (rest + data).split(b"\0")
        yield from words
    yield rest


def _shallow_boundary(directory: Path) -> frozenset[str]:
    """Return the commits of a shallow clone whose parents it does not have."""
    try:
        path = run_git(directory, "rev-parse", "--git-path", "shallow").strip()
        return frozenset(read_text(directory / path, GIT_STATE).split())
    except (FileNotFoundError, UsageError, InfrastructureError):
        return frozenset()


def source_date_epoch(directory: Path) -> int | None:
    """Return $SOURCE_DATE_EPOCH, or else when the last commit was made; in seconds since 1970.

    None where there is neither.

    Raises:
        UsageError: the variable is not a number.

    """
    given = given_epoch()
    return last_commit_time(directory) if given is None else given


def given_epoch() -> int | None:
    """Return $SOURCE_DATE_EPOCH, in seconds since 1970; None if it is not set.

    Raises:
        UsageError: the variable is not a number, or too large.

    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if not given:
        return None
    if not (given.isascii() and given.isdigit()):
        raise UsageError(
            f"$SOURCE_DATE_EPOCH is {given!r}, which is not a number of seconds since 1970",
            hint="correct the variable, or unset it",
        )
    if len(given) > _MOST_DIGITS or int(given) > _LATEST:
        raise UsageError(
            f"$SOURCE_DATE_EPOCH is {given[:_MOST_DIGITS]}{'…' * (len(given) > _MOST_DIGITS)}, "
            f"and the latest time that an archive can hold is {_LATEST}, in the year 2242",
            hint="correct the variable, or unset it",
        )
    return int(given)


def run_git(directory: Path, *words: str, inner: bool = False) -> str:
    """Run a git command in `directory`, and return what it prints.

    `inner` says that the repository is inside of another one, so that the variables which git sets
    for a hook of that other one are left out.

    Raises:
        UsageError: git refuses.
        InfrastructureError: there is no git.

    """
    environment = {
        name: value for name, value in os.environ.items() if not (inner and name in _OF_A_HOOK)
    }
    try:
        process = subprocess.run(
            ["git", "-C", str(directory), *words],
            capture_output=True,
            check=False,
            env={**environment, "LC_ALL": "C"},  # so that its words are known
        )
    except FileNotFoundError:
        raise InfrastructureError("git is not installed", hint="install git") from None
    if process.returncode != 0:
        message = process.stderr.decode(errors="replace").strip()
        if "not a git repository" in message:
            raise UsageError(
                f"{directory} is in no git repository, so nothing tells what has changed",
                hint="keep the definitions in git, or correct --dir",
            )
        raise UsageError(
            f"git {words[0]} failed in {directory}: {message}", hint="correct --since or --dir"
        )
    return os.fsdecode(process.stdout)
