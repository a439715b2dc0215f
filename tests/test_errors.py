"""Errors in words that a person can use."""

from __future__ import annotations

import errno

import pytest

from dag.errors import UsageError, words_of

_ROOM = "; make room there, or use another disk"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/a"), "/a: Read-only file system"),
        (OSError(errno.ENOSPC, "No room", "/a", None, "/b"), f"/b: No room{_ROOM}"),
        (OSError(errno.ENOSPC, "No room"), f"No room{_ROOM}"),
        (OSError(errno.EACCES, "No", b"/a\xff"), "/a\udcff: No"),
        (OSError(errno.EBADF, "Bad file descriptor", 3), "Bad file descriptor"),
        (OSError("cannot read from timed out object"), "cannot read from timed out object"),
        (TimeoutError(), "TimeoutError"),
        (UsageError("no such package", hint="look"), "no such package (look)"),
        (UsageError("no such package"), "no such package"),
    ],
)
def test_an_error_of_the_system_is_told_with_its_file_and_without_its_number(
    error: Exception, words: str
) -> None:
    assert words_of(error) == words
