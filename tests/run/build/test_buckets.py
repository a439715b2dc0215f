"""`dag build` into a bucket: what one machine has built, no other one builds again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from dag.core.limits import PACKAGE_INDEX
from dag.core.store.layout import BLOBS, RECORDS, STATE
from dag.io.package.apkindex import index_text
from tests.support.buckets import Store, azure, gcs, s3
from tests.support.builds import SHARE, Make, definition, new_key
from tests.support.waiting import eventually
from tests.torture.kills import environment

pytestmark = pytest.mark.installs

HOST = "127.0.0.1"
SERVERS: dict[str, Callable[[str], AbstractContextManager[Store]]] = {
    "gs": gcs,
    "s3": s3,
    "az": azure,
}
UNITS = {
    "a": definition("a"),
    "b": definition("b", "a", runs=f"test -s {SHARE}/a"),
    "c": definition("c", "a"),
    "d": definition("d", "b", "c", runs=f"test -s {SHARE}/c"),
}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Store]:
    with SERVERS[request.param](HOST) as server:
        yield server


@dataclass(frozen=True)
class Machine:
    """A machine of its own, as far as `dag` knows: it shares nothing but the bucket."""

    place: Path
    home: Path
    server: Store
    key: Path

    @property
    def store(self) -> str:
        return f"{self.server.bucket}/built"

    def start(self, *words: str, command: str = "build") -> subprocess.Popen[str]:
        signs = command in ("build", "publish")
        key = ["--signing-key", str(self.key)] if signs else []
        homes = {name: str(self.home / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME")}
        return subprocess.Popen(
            [sys.executable, "-m", "dag", *command.split(), "--store", self.store, *key, *words],
            cwd=self.place,
            env={**environment(self.server.secret), **homes},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, command: str = "build") -> tuple[int, str, str]:
        process = self.start(*words, command=command)
        out, said = process.communicate()
        return process.returncode, out, said


@pytest.fixture
def machine(make: Make, server: Store, tmp_path: Path) -> Callable[[str], Machine]:
    place, key = make(**UNITS), new_key(tmp_path)
    return lambda name: Machine(place, tmp_path / name, server, key)


def built(said: str) -> list[str]:
    return sorted(line.split()[2] for line in said.splitlines() if line.startswith("dag: built "))


def listed(server: Store) -> list[str]:
    """Return the packages that the published index lists, each of which is there."""
    with server.opened("built") as objects:
        found = objects.read("x86_64/APKINDEX.tar.gz", PACKAGE_INDEX)
        assert found is not None
        text = index_text(found.data)
        names = [line[2:] for line in text.splitlines() if line.startswith("P:")]
        files = [f"x86_64/{name}-1-r0.apk" for name in names]
        assert [file for file in files if objects.look(file) is None] == []
    return sorted(names)


def test_a_second_machine_builds_nothing_again(machine: Callable[[str], Machine]) -> None:
    first, second = machine("first"), machine("second")
    code, _, said = first.run("a", "b")
    assert code == 0, said
    assert built(said) == ["a", "b"]
    code, out, said = second.run("--dry-run")
    assert code == 0, said
    assert "skipped b 1-r0: in the store" in out
    code, _, said = second.run()
    assert code == 0, said
    assert built(said) == ["c", "d"]
    assert listed(first.server) == ["a", "b", "c", "d"]
    assert "0 packages to build" in first.run()[2]
    code, out, said = first.run(command="store verify")
    assert (code, out) == (0, "4 blobs, 4 records, 4 published files: all as it should be\n"), said
    code, out, said = first.run("d", command="logs")
    assert "dag: end of log" in out, said
    code, out, said = first.run("--all", command="status")
    runs = [line.partition("  ")[2].partition(" in ")[0] for line in out.splitlines()]
    assert runs == ["4 there already", "2 built, 2 there already", "2 built"], said


def test_what_one_machine_proves_another_one_publishes(machine: Callable[[str], Machine]) -> None:
    builder, signer = machine("builder"), machine("signer")
    code, _, said = builder.run("a", "b", "--publish=false")
    assert code == 0, said
    with builder.server.opened("built") as objects:
        assert objects.read("x86_64/APKINDEX.tar.gz", PACKAGE_INDEX) is None
    code, out, said = builder.run(command="status")
    run = out.splitlines()[0].removeprefix("run ")
    code, out, said = signer.run(f"--run={run}", command="publish")
    assert code == 0, said
    assert out.splitlines()[-1] == "2 packages published"
    assert listed(signer.server) == ["a", "b"]
    code, out, said = signer.run("a", "b", command="publish")
    assert (code, out) == (0, "0 packages published, 2 already\n"), said


def test_two_machines_at_once_share_what_they_build(machine: Callable[[str], Machine]) -> None:
    processes = [machine(name).start() for name in ("first", "second")]
    ends = [(process.communicate()[1], process.returncode) for process in processes]
    assert [code for _, code in ends] == [0, 0], ends
    one = machine("third")
    assert listed(one.server) == ["a", "b", "c", "d"]
    code, out, said = one.run(command="store verify")
    assert (code, out.rpartition(": ")[2]) == (0, "all as it should be\n"), out + said
    assert "0 packages to build" in one.run()[2]


def test_who_is_killed_between_blob_and_record_leaves_nothing_that_counts(
    machine: Callable[[str], Machine],
) -> None:
    one = machine("first")
    process = one.start("a")
    with one.server.opened("built") as objects:
        eventually(lambda: list(objects.list(f"{STATE}/{BLOBS}")), "there is a blob")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for name in objects.names(f"{STATE}/{RECORDS}"):  # it may have been faster than this test
            objects.delete(name)
    code, _, said = machine("second").run("a")
    assert code == 0, said
    assert built(said) == ["a"]
    assert one.run(command="store verify")[0] == 0
    code, _, said = one.run("a")
    assert code == 0, said
    assert built(said) == []


def test_a_bucket_that_is_gone_is_waited_for(make: Make, tmp_path: Path) -> None:
    place = make(a=definition("a", runs="echo sleeping\nsleep 2"))
    with s3(HOST) as server:
        one = Machine(place, tmp_path / "home", server, new_key(tmp_path))
        process = one.start()
        logs = "XDG_CACHE_HOME/dag/stores/*/.dag/runs/*/x86_64/logs/a.log"
        eventually(
            lambda: any("sleeping" in log.read_text() for log in one.home.glob(logs)), "it builds"
        )
        httpx2.post(f"{server.url}/moto-api/reset")
        said = []
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if "it is tried again" in line:
                assert "s3://built/built" in line
                assert httpx2.put(f"{server.url}/built").status_code == 200
        process.communicate()
        assert process.returncode == 0, said
        assert sum("it is tried again" in line for line in said) == 1, said
        assert listed(server) == ["a"]


def test_a_bucket_whose_server_passes_conditions_over_is_refused(
    make: Make, tmp_path: Path
) -> None:
    place = make(a=definition("a"))
    with s3(HOST, deaf_to=["If-Match"]) as server:
        one = Machine(place, tmp_path / "home", server, new_key(tmp_path))
        code, _, said = one.run()
        assert code == 3, said
        assert "s3://built/built/.dag/id: the server passes over the condition of a write" in said
        assert built(said) == []


def test_what_refuses_is_named(make: Make, tmp_path: Path) -> None:
    place, key = make(a=definition("a")), new_key(tmp_path)
    with s3(HOST) as server:
        secret = {**server.secret, "AWS_ENDPOINT_URL": f"{server.url}/nothing"}
        one = Machine(place, tmp_path / "home", Store("s3", server.url, secret), key)
        code, _, said = one.run()
    assert code == 3, said
    assert "s3://built/built" in said
    code, _, said = one.run("--store", "pvc://claim")
    assert code == 2, said
    assert "pvc://claim is a volume claim, which only pods reach" in said
    assert "hint: `dag build --on kubernetes` builds there" in said
    assert "--on kubernetes" in said
