"""What a command of the agent leaves as its container's last words when it fails."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dag.cli.agentparts import last_words
from dag.core.pod.lastwords import LastWords, read_last_words
from dag.errors import UsageError


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (UsageError("it is \x1b[31mred", hint="paint it"), LastWords("it is \x1b[31mred", "paint it")),
        (OSError(errno.ENOSPC, "No room", "/a"), LastWords("/a: No room; make room there, or use another disk")),
        (OSError(errno.EBADF, "Bad file descriptor"), LastWords("Bad file descriptor")),
    ],
)  # fmt: skip
def test_an_error_is_left_with_what_to_do_about_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, left: LastWords
) -> None:
    log = tmp_path / "termination-log"
    monkeypatch.setattr("dag.cli.agentparts.TERMINATION_LOG", log)
    with pytest.raises(type(error)), last_words():
        raise error
    assert read_last_words({"message": log.read_text()}) == left
