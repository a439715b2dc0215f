"""A build has the network of the machine, but not the sockets there that have no place in a file."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from dag.io import landlock
from dag.io.build.confinement import Unlimited
from dag.run.build.process import run_script

CONNECTS = """
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(bytes.fromhex(sys.argv[1]))
except PermissionError:
    sys.exit(13)
"""


@pytest.mark.parametrize("alone", [True, False], ids=["confined", "trusted"])
async def test_an_abstract_socket_of_the_machine_is_out_of_reach(
    tmp_path: Path, *, alone: bool
) -> None:
    name = b"\0" + os.fsencode(tmp_path)
    with socket.socket(socket.AF_UNIX) as server, (tmp_path / "log").open("wb") as log:
        server.bind(name)
        server.listen()
        end = await run_script(
            [sys.executable, "-c", CONNECTS, name.hex()],
            Unlimited(),
            directory=tmp_path,
            output=log.fileno(),
            environment={"PATH": os.environ["PATH"]},
            timeout=120,
            alone=alone,
        )
    assert (tmp_path / "log").read_bytes() == b""
    # Before version 6 the kernel has no such right.
    assert end.code == (13 if alone and landlock.version() >= 6 else 0)
