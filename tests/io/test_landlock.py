"""What a process has given up, it has not any more."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dag.io import landlock

TRIES = """
import os, signal, socket, sys
from dag.io import landlock
getattr(landlock, sys.argv[1])()
def tries(what, *words):
    try:
        what(*words)
    except PermissionError:
        return False
    return True
print(
    tries(open, sys.argv[2]),
    tries(socket.socket(socket.AF_UNIX).connect, bytes.fromhex(sys.argv[3])),
    tries(socket.socket().connect, ("127.0.0.1", int(sys.argv[4]))),
    tries(os.kill, os.getppid(), 0),
)
"""


@pytest.mark.parametrize(
    ("gives_up", "since"),
    [("give_up_everything", (1, 6, 4, 6)), ("give_up_abstract_sockets", (99, 6, 99, 99))],
)
def test_what_is_given_up_is_refused_by_the_kernel(
    tmp_path: Path, gives_up: str, since: tuple[int, ...]
) -> None:
    file = tmp_path / "file"
    file.touch()
    name = b"\0" + os.fsencode(tmp_path)
    with socket.socket(socket.AF_UNIX) as abstract, socket.create_server(("127.0.0.1", 0)) as tcp:
        abstract.bind(name)
        abstract.listen()
        words = [gives_up, str(file), name.hex(), str(tcp.getsockname()[1])]
        done = subprocess.run(
            [sys.executable, "-c", TRIES, *words],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
    # What the kernel does not know yet stays allowed.
    known = landlock.version()
    assert done.stdout.split() == [str(known < one) for one in since]
