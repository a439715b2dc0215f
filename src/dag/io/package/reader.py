"""The process that reads packages, which `dag.io.package.prover` starts: `python -m` runs it.

Its standard input is a socket. Each message there is one byte and the descriptor of a file, and each
answer a line of JSON. It can write no file, and ends with the process that started it.
"""

from __future__ import annotations

import os
import resource
import socket

import msgspec
from msgspec import Struct

from dag.core.limits import PACKAGE, READER_MEMORY, READER_SECONDS, TooLarge
from dag.core.package.apk import BrokenPackage
from dag.io.package.apk import ReadApk, read_apk

_BYTES_A_SECOND = 32 << 20


class Answer(Struct, frozen=True):
    """What became of one file: exactly one of these is there."""

    read: ReadApk | None = None
    broken: str | None = None
    """Why it is no package."""
    failed: str | None = None
    """Why it could not be read."""


def main() -> None:
    """Read one file after the other until nobody asks for more."""
    for kind, most in (
        (resource.RLIMIT_AS, READER_MEMORY.most),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    with socket.socket(fileno=os.dup(0)) as asked:
        while True:
            message, descriptors, _, _ = socket.recv_fds(asked, 1, 1)
            if not message:
                return
            asked.sendall(msgspec.json.encode(_answer(descriptors[0])) + b"\n")


def _answer(descriptor: int) -> Answer:
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            PACKAGE.check(size, "it")
            _limit_seconds(READER_SECONDS.most + size // _BYTES_A_SECOND)
            return Answer(read=read_apk(file))
        except (BrokenPackage, TooLarge) as error:
            return Answer(broken=str(error))
        except MemoryError:
            return Answer(broken=f"to read it takes more than {READER_MEMORY} of memory")
        except OSError as error:
            return Answer(failed=error.strerror or str(error))


def _limit_seconds(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    until = int(used.ru_utime + used.ru_stime) + 1 + seconds
    until = until if most == resource.RLIM_INFINITY else min(until, most)
    resource.setrlimit(resource.RLIMIT_CPU, (until, most))


if __name__ == "__main__":
    main()
