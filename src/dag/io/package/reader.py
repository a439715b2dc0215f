"""The process that reads packages, which `dag.io.package.prover` starts: `python -m` runs it.

Its standard input is a socket. Each message there is one byte, the descriptor of a file, or those of
two that are to be compared, and that of a pipe. Another process reads them, one for each message, and
writes a line of JSON into the pipe; how it has ended is the answer on the socket. So the interpreter
starts once, and what one package does to its reader does not reach the next one. A reader has just
these descriptors, and can open no file.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NoReturn

import msgspec
from msgspec import Struct

from dag.core.limits import PACKAGE, READER_MEMORY, READER_SECONDS, TooLarge
from dag.core.package.apk import BrokenPackage
from dag.io.landlock import give_up_everything
from dag.io.package.apk import ReadApk, read_apk
from dag.io.package.differing import first_difference

EXIT_CODE = struct.Struct("i")
"""How the reader of one package has ended, on the socket; a signal is negative."""
_BYTES_A_SECOND = 32 << 20
_UNPACKED = 8
"""How many times longer it takes to read a package whose data is unpacked, too."""


class ReaderAnswer(Struct, frozen=True):
    """What became of one file, or of two: exactly one of these is there."""

    read: ReadApk | None = None
    broken: str | None = None
    """Why it is no package."""
    failed: str | None = None
    """Why it could not be read."""
    differs: str | None = None
    """The first member in which two differ, in words; empty if there is none."""


def main() -> None:
    """Have one file after the other read until nobody asks for more."""
    for kind, most in (
        (resource.RLIMIT_AS, READER_MEMORY.most),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    gc.freeze()  # so that readers share the pages of what is there already
    with socket.socket(fileno=0) as asked:
        while True:
            message, descriptors, _, _ = socket.recv_fds(asked, 1, 3)
            if not message:
                return
            code = _have_read(asked, *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            asked.sendall(EXIT_CODE.pack(code))


def _have_read(asked: socket.socket, *descriptors: int) -> int:
    """Make a process that reads a file or compares two; return how it has ended."""
    *files, pipe = descriptors
    try:
        reader = os.fork()
    except OSError as error:
        os.write(pipe, _line(ReaderAnswer(failed=f"no process can be made: {error.strerror}")))
        return 0
    if reader == 0:
        asked.close()
        _read_alone(files, pipe)
    _, status = os.waitpid(reader, 0)
    return os.waitstatus_to_exitcode(status)


def _read_alone(files: Sequence[int], pipe: int) -> NoReturn:
    code = 1
    try:
        size = sum(os.fstat(one).st_size for one in files)
        _begin_reading(size * (_UNPACKED if len(files) > 1 else 1))
        with os.fdopen(pipe, "wb") as answers:
            answers.write(_line(_answer(*files)))
        code = 0
    finally:
        os._exit(code)  # it must not go on as the process that it was made from


def _line(answer: ReaderAnswer) -> bytes:
    return msgspec.json.encode(answer) + b"\n"


def _begin_reading(size: int) -> None:
    give_up_everything()
    seconds = 1 + READER_SECONDS.most + size // _BYTES_A_SECOND
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    most = seconds + 1 if most == resource.RLIM_INFINITY else most
    resource.setrlimit(resource.RLIMIT_CPU, (min(seconds, most), most))


def _answer(*descriptors: int) -> ReaderAnswer:
    with ExitStack() as opened:
        files = [opened.enter_context(os.fdopen(one, "rb", buffering=0)) for one in descriptors]
        try:
            for one in descriptors:
                PACKAGE.check(os.fstat(one).st_size, "it")
            if len(files) > 1:
                return ReaderAnswer(differs=first_difference(*files))
            return ReaderAnswer(read=read_apk(*files))
        except (BrokenPackage, TooLarge) as error:
            return ReaderAnswer(broken=str(error))
        except MemoryError:
            return ReaderAnswer(broken=f"to read it takes more than {READER_MEMORY} of memory")
        except OSError as error:
            return ReaderAnswer(failed=error.strerror or str(error))


if __name__ == "__main__":
    main()
