"""Packages that a hostile step left: they harm neither their reader nor anybody else."""

from __future__ import annotations

import gzip
import os
import resource
import runpy
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath

import pytest

from dag.core.package.apk import BrokenPackage
from dag.io.package.prover import PackageReader, copy_bytes, open_inside
from tests.support.apks import make_apk, read
from tests.support.distributions import case
from tests.support.waiting import eventually


@pytest.fixture
def reader() -> Iterator[PackageReader]:
    with PackageReader() as reader:
        yield reader


def ask(reader: PackageReader, path: Path) -> object:
    with open_inside(path.parent, PurePath(path.name)) as descriptor:
        return reader.read(descriptor).apk


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(case("hostile-step") / "apks.py"))
    return tmp_path


def test_each_is_a_broken_package_and_the_next_one_is_read(
    reader: PackageReader, cases: Path
) -> None:
    whys = {
        "sparse": "sparse file",
        "maps": "sparse file",
        "sizes": "size that cannot be",
        "twice": "control character",
    }
    for name, why in whys.items():
        with pytest.raises(BrokenPackage, match=why):
            ask(reader, cases / f"{name}.apk")
        assert ask(reader, cases / "good.apk") == read(cases / "good.apk")


def test_if_the_process_that_makes_readers_is_killed_another_one_is_started(
    reader: PackageReader, tmp_path: Path
) -> None:
    good = make_apk(tmp_path / "good.apk", "good")
    assert ask(reader, good) == read(good)
    assert reader._process is not None
    os.kill(reader._process.pid, signal.SIGKILL)
    assert ask(reader, good) == read(good)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("sys.exit(3)", "the process that has packages read ends without an answer"),
        (
            """os.fork = lambda: open('/proc/self/fd/none/x')
from dag.io.package.reader import main
main()""",
            "no process can be made: No such file",
        ),
    ],
)
def test_a_package_is_not_broken_because_it_has_no_reader(
    reader: PackageReader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    does: str,
    said: str,
) -> None:
    good = make_apk(tmp_path / "good.apk", "good")
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport os, sys\n{does}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(OSError, match=said):
        ask(reader, good)


def test_the_reader_has_limits_and_neither_environment_nor_files(
    reader: PackageReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    kept = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(kept, True)
    ask(reader, make_apk(tmp_path / "a.apk", "a"))
    assert reader._process is not None
    process = reader._process.pid
    environment = Path(f"/proc/{process}/environ").read_text()
    assert "secret" not in environment
    assert {line.split("=")[0] for line in environment.split("\0") if line} == {"PYTHONPATH"}
    files = {str(path.readlink()) for path in Path(f"/proc/{process}/fd").iterdir()}
    assert {name.partition(":")[0] for name in files} == {"/dev/null", "socket"}
    assert resource.prlimit(process, resource.RLIMIT_AS)[0] == 512 << 20
    assert resource.prlimit(process, resource.RLIMIT_FSIZE) == (0, 0)
    os.close(kept)


def test_each_package_has_a_reader_of_its_own_which_ends_alone(
    reader: PackageReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = make_apk(tmp_path / "good.apk", "good")
    assert ask(reader, good) == read(good)
    assert reader._process is not None
    first = reader._process.pid
    waits, nothing = os.pipe()  # whoever reads this waits
    monkeypatch.setattr("dag.io.package.prover.os.lseek", lambda *_: 0)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(reader.read, waits)
        children = Path(f"/proc/{first}/task/{first}/children")
        eventually(lambda: children.read_text().split(), "a reader")
        (child,) = map(int, children.read_text().split())
        eventually(lambda: resource.prlimit(child, resource.RLIMIT_CPU)[0] == 21, "its limit")
        files = [str(path.readlink()) for path in Path(f"/proc/{child}/fd").iterdir()]
        kinds = sorted(name.partition(":")[0] for name in files)
        assert kinds == ["/dev/null", "/dev/null", "pipe", "pipe"]
        os.kill(child, signal.SIGKILL)
        with pytest.raises(BrokenPackage, match="it makes its reader end: exit code -9"):
            asked.result()
    monkeypatch.undo()
    os.close(waits)
    os.close(nothing)
    assert ask(reader, good) == read(good)
    assert reader._process.pid == first


def test_the_reader_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    reader = PackageReader()
    ask(reader, make_apk(tmp_path / "a.apk", "a"))
    assert reader._process is not None
    assert reader._socket is not None
    reader._socket.shutdown(socket.SHUT_WR)  # what the kernel does when the process is gone
    assert reader._process.wait(timeout=20) == 0
    reader.close()


@pytest.mark.parametrize("what", ["link", "pipe", "directory", "sparse", "way", "none", "socket"])
def test_only_an_ordinary_file_is_opened_and_no_link_followed(tmp_path: Path, what: str) -> None:
    good = make_apk(tmp_path / "good.apk", "good")
    place = tmp_path / "workspace" / "packages"
    place.mkdir(parents=True)
    bad = place / "bad.apk"
    match what:
        case "link":
            bad.symlink_to(good)
        case "pipe":
            os.mkfifo(bad)
        case "directory":
            bad.mkdir()
        case "sparse":
            with bad.open("wb") as file:
                file.write(good.read_bytes())
                file.truncate(1 << 40)
        case "way":
            place.rmdir()
            place.symlink_to(tmp_path)
            good.rename(tmp_path / "bad.apk")
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(bad))
    wanted: type[Exception] = FileNotFoundError if what == "none" else BrokenPackage
    with (
        pytest.raises(wanted),
        open_inside(tmp_path, PurePath("workspace", "packages", "bad.apk")),
    ):
        pytest.fail("it was opened")


def test_a_copy_is_as_long_as_the_file_was_and_stays_as_it_is(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(3 << 20))
    before = source.read_bytes()
    with source.open("rb+") as one, target.open("xb") as other:
        copy_bytes(one.fileno(), other.fileno(), begin=5)
        one.write(b"changed")
    assert target.read_bytes() == before[5:]


@pytest.mark.long
def test_a_bomb_takes_little_memory(reader: PackageReader, tmp_path: Path) -> None:
    path = tmp_path / "bomb.apk"
    with gzip.open(path, "wb", 9) as file:
        for _ in range(200):
            file.write(bytes(1 << 20))
    ask(reader, make_apk(tmp_path / "a.apk", "a"))
    assert reader._process is not None
    resource.prlimit(reader._process.pid, resource.RLIMIT_AS, (256 << 20, 256 << 20))
    with pytest.raises(BrokenPackage, match="64 MiB"):
        ask(reader, path)
