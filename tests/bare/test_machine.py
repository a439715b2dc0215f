"""A machine that is switched off leaves nothing behind, even if its starter was killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.system import run
from tests.bare.machine import switched_on

pytestmark = pytest.mark.skipif(bool(os.geteuid()), reason="only root can mount")

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = ("bash", "cat", "rmdir", "sleep", "umount")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root directory with hardly anything in it."""
    root = tmp_path / "root"
    for folder in ("bin", "dev", "etc", "proc", "sys"):
        (root / folder).mkdir(parents=True)
    for name in PROGRAMS:
        program = str(shutil.which(name))
        shutil.copy(program, root / "bin" / name)
        for library in re.findall(r"/\S+", run("ldd", program).replace(f"{program}:", "")):
            target = root / library.removeprefix("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    return root


@pytest.fixture
def part(tmp_path: Path) -> Path:
    part = tmp_path / "outside" / "part"
    part.mkdir(parents=True)
    (part / "file").write_text("of a part\n")
    return part


def test_machine_sees_itself_and_its_parts(
    root: Path, part: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with switched_on(root, Path("/place"), [part]) as machine:
        assert machine.run("exit 7") == 7
        assert machine.run("cat /place/part/file; cat /proc/1/comm; echo here >/etc/note") == 0
        assert machine.run("echo x >/place/part/new") == 1
        assert str(root) not in Path("/proc/self/mounts").read_text()
    said, complaint = capfd.readouterr()
    assert said == "of a part\nbash\n"
    assert "Read-only file system" in complaint
    assert (root / "etc/note").read_text() == "here\n"
    assert list((root / "place/part").iterdir()) == []
    assert [path.name for path in part.iterdir()] == ["file"]


def test_processes_end_with_the_machine(root: Path) -> None:
    with switched_on(root, Path("/place"), []) as machine:
        assert machine.run("sleep 1000 & disown") == 0
        assert running(root)
    assert not running(root)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_machine_ends_with_whoever_started_it(root: Path, number: signal.Signals) -> None:
    script = (
        "from pathlib import Path\n"
        "from tests.bare.machine import switched_on\n"
        f"with switched_on(Path({str(root)!r}), Path('/place'), []) as machine:\n"
        "    machine.run('echo runs; sleep 1000')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"runs\n"
        starter.send_signal(number)
        # Every process of the machine has the pipe open, so it ends when all of them have ended.
        assert starter.stdout.read() == b""
    assert not running(root)


def running(root: Path) -> list[Path]:
    """Return the processes that run a program of `root`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = (process / "exe").stat()
        except OSError:
            continue
        if any(os.path.samestat(program, path.stat()) for path in (root / "bin").iterdir()):
            found.append(process)
    return found
