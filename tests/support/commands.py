"""Runs of `dag` in the test's own process, which are as quick as the command itself.

What they call is what the installed command calls, so words, errors, exit codes and both streams are
the same. A test starts a process only for what is a process's own: how it starts and is killed,
signals, terminals, pipes that close, and users.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any
from unittest import mock

from dag.cli.main import run
from dag.report import terminal
from tests.support.errors import see

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STREAMS = {"stdin": "strict", "stdout": "surrogateescape", "stderr": "backslashreplace"}
"""The standard streams in the order of their numbers, with what they do with odd characters."""


def dag(
    *words: object, environment: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `dag` with nothing on its stdin; return its exit code, stdout and stderr.

    A command that is interrupted (130) ends the whole process: start one of its own for that.
    """
    typed = ["dag", *map(str, words)]
    code: object = None
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with (
            mock.patch.object(sys, "argv", typed),
            mock.patch.dict(os.environ, environment, clear=True),
            _directory(cwd),
            _manners(),
            _streams(out, err),
        ):
            try:
                run()
            except SystemExit as ended:
                code = ended.code
        said = [_text(stream) for stream in (out, err)]
    assert isinstance(code, int)
    assert "this is a bug in dag" not in said[1], said[1]
    see(code, said[1])
    return subprocess.CompletedProcess(typed, code, *said)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="surrogateescape")


@contextmanager
def _directory(cwd: Path | None) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _manners() -> Iterator[None]:
    """Begin like a process of its own, and undo afterwards what a process keeps until its end."""
    for name in [name for name in sys.modules if name.startswith("dag.")]:
        for remembering in _remembering(name):
            remembering.cache_clear()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    umask = os.umask(0o022)
    os.umask(umask)
    try:
        # pytest's own handlers would keep from stderr what nobody handles.
        with (
            mock.patch.object(logging.root, "handlers", []),
            mock.patch.object(terminal, "_manner", terminal.Manner()),
        ):
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.umask(umask)
        gc.unfreeze()
        gc.enable()


@functools.cache
def _remembering(name: str) -> list[functools._lru_cache_wrapper[Any]]:
    """Return the functions of a module that remember what they have returned."""
    members = vars(sys.modules[name]).values()
    return [member for member in members if isinstance(member, functools._lru_cache_wrapper)]


@contextmanager
def _streams(out: IO[bytes], err: IO[bytes]) -> Iterator[None]:
    """Put files in the place of the standard streams, for the programs that are started, too."""
    with ExitStack() as stack:
        nothing = stack.enter_context(Path(os.devnull).open("rb"))
        for number, (name, errors) in enumerate(_STREAMS.items()):
            stack.callback(_put_back, os.dup(number), number)
            os.dup2((nothing, out, err)[number].fileno(), number)
            stream = stack.enter_context(
                open(
                    number,
                    "w" if number else "r",
                    buffering=1 if name == "stderr" else -1,
                    encoding="utf-8",
                    errors=errors,
                    closefd=False,
                )
            )
            stack.enter_context(mock.patch.object(sys, name, stream))
        yield


def _put_back(kept: int, number: int) -> None:
    os.dup2(kept, number)
    os.close(kept)
