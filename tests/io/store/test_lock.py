"""The lock of a store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dag.io.store.lock import Held, Lock, holder

HOLD = """
import sys
from pathlib import Path, PurePath
from dag.io.store.lock import Lock
Lock(Path(sys.argv[1]), what="the store").try_acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_says_who_holds_it_and_goes_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder(path) == process.pid
        with pytest.raises(Held, match=f"the store is in use by process {process.pid} on ") as held:
            Lock(path, what="the store").try_acquire()
        # `dag store prune --gone` meets it, too, and has no --wait.
        assert "as `dag build --wait` does" in str(held.value.hint)
        process.kill()
        process.communicate()
    assert holder(path) is None
    with Lock(path, what="the store"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
