"""Fetch many sources, and large ones, from one server: `dag cache` and its peers take turns.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/cache.py

- 200 sources from 8 hosts that take 50 ms for each answer. The peers are `curl`, which fetches one
  after the other as the original program did, `aria2c -j16`, and `melange update-cache`.
- 2 GB in 16 sources. The peer is `curl --parallel`, followed by one `sha256sum` for each processor;
  or both at the same time, with a pipe for each source. The faster of the two counts. All files are
  in memory (/dev/shm), because otherwise only the disk would be measured.

Each run is a process of its own, with an empty cache, and measured from its start to its end. The
exit code is 1 if `dag cache` is not 15 times as fast as one fetch after the other, if it is slower
than aria2c or melange, if it reaches less than 80 % of the speed of curl and sha256sum, or if its
memory grows with the size of what it fetches.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.support.melange import binary  # noqa: E402
from tests.support.registries import apt  # noqa: E402

ROUNDS = 5
SMALL = 200
HOSTS = 8
"""The number of addresses of the server. The 193 sources of a real distribution are at 58 hosts."""
LATENCY = 0.05
"""The seconds that pass before each answer."""
LARGE = 16
SIZE = 128 << 20
"""The size of a large source in bytes."""
FLAT = 32
"""How many MiB of memory `dag cache` may take more when there is more to fetch."""


@dataclass(frozen=True)
class Source:
    """A file that is served, and its URI."""

    path: Path
    sha256: str
    uri: str = ""


@dataclass
class Runs:
    """Wall time and processor time of each round in seconds, and the most memory in MiB."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: int = 0

    def show(self, name: str) -> str:
        """Return a line with the best round, and with the medians."""
        return (
            f"  {name:<28} {min(self.wall):6.2f} s  (median {statistics.median(self.wall):6.2f})  "
            f"{statistics.median(self.cpu):5.2f} s of processor  {self.memory:4} MiB"
        )


Peers = dict[str, Callable[[Path], list[str]]]
"""By its name, a function that returns the command which fetches everything into a directory."""


def measure(peers: Peers, expected: list[Source], place: Path, rounds: int) -> dict[str, Runs]:
    """Run all commands in turns, so that a busy moment affects each; check what they fetched."""
    runs = {name: Runs() for name in peers}
    for _ in range(rounds):
        for name, command in peers.items():
            target = place / "target"
            target.mkdir()
            words = command(target)
            start = time.perf_counter()
            process = subprocess.Popen(
                words, cwd=target, env=_environment(place), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            assert process.stderr is not None
            said = process.stderr.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - start
            assert process.returncode == 0, f"{name}: {said.decode()[-2000:]}"
            made = [
                path for path in target.iterdir() if path.name.startswith(("source-", "sha256:"))
            ]
            sizes = sum(path.stat().st_size for path in made)
            assert sizes == sum(source.path.stat().st_size for source in expected), name
            shutil.rmtree(target)
            mine = runs[name]
            mine.wall.append(seconds)
            mine.cpu.append(used.ru_utime + used.ru_stime)
            mine.memory = max(mine.memory, used.ru_maxrss >> 10)
    return runs


def _environment(place: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "PYTHONPATH": str(ROOT / "src"),
        "XDG_CACHE_HOME": str(place / "definitions"),
    }


@contextmanager
def serving(directory: Path, latency: float) -> Iterator[list[str]]:
    """Serve the files of a directory from a process of its own, and yield the URLs of its hosts."""
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server((f"127.0.0.{number}", 0), backlog=512))
            for number in range(1, HOSTS + 1)
        ]
        child = os.fork()
        if child == 0:
            for listener in listeners[1:]:
                threading.Thread(target=_serve, args=(listener, directory, latency)).start()
            _serve(listeners[0], directory, latency)
        try:
            yield ["http://{}:{}".format(*listener.getsockname()) for listener in listeners]
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _serve(listener: socket.socket, directory: Path, latency: float) -> None:
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection, directory, latency), daemon=True).start()


def _answer(connection: socket.socket, directory: Path, latency: float) -> None:
    with connection, connection.makefile("rb") as reader:
        while line := reader.readline():
            path = directory / line.split()[1].decode().strip("/")
            while reader.readline() not in (b"\r\n", b""):
                pass
            if latency:
                time.sleep(latency)
            with path.open("rb") as file:
                size = path.stat().st_size
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nAccept-Ranges: bytes\r\n\r\n"
                try:
                    connection.sendall(head.encode())
                    connection.sendfile(file)
                except OSError:
                    return


def make(directory: Path, count: int, size: int) -> list[Source]:
    """Write `count` different files of `size` bytes; they are sparse."""
    directory.mkdir(parents=True)
    found = []
    for number in range(count):
        path = directory / f"source-{number:03}"
        with path.open("wb") as file:
            file.write(f"source {number} of {count}\n".encode())
            file.truncate(size)
        with path.open("rb") as file:
            found.append(Source(path, hashlib.file_digest(file, "sha256").hexdigest()))
    return found


def served(root: Path, sources: list[Source], urls: list[str]) -> list[Source]:
    """Return the sources with URIs; the hosts, which all serve `root`, get them in turns."""
    return [
        replace(source, uri=f"{urls[number % len(urls)]}/{source.path.relative_to(root)}")
        for number, source in enumerate(sources)
    ]


def define(directory: Path, sources: list[Source]) -> Path:
    """Write one definition that fetches all, because melange's command takes only one definition."""
    directory.mkdir()
    lines = ["package:", "  name: sources", "  version: 1", "  epoch: 0", "pipeline:"]
    for source in sources:
        lines += ["  - uses: fetch", "    with:", f"      uri: {source.uri}"]
        lines += [f"      expected-sha256: {source.sha256}"]
    (directory / "sources.yaml").write_text("\n".join(lines) + "\n")
    return directory / "sources.yaml"


def ours(definition: Path) -> Callable[[Path], list[str]]:
    """Return the command `dag cache` for this definition."""
    return lambda target: [
        *(sys.executable, "-m", "dag", "cache"),
        *("-d", str(definition.parent), "-o", str(target)),
    ]


def many(place: Path) -> dict[str, Runs]:
    """Measure 200 sources, with 50 ms before each answer."""
    sources = make(place / "small", SMALL, 10_000)
    with serving(place / "small", LATENCY) as urls:
        sources = served(place / "small", sources, urls)
        definition = define(place / "many", sources)
        curl, aria = place / "curl.txt", place / "aria2.txt"
        curl.write_text("".join(f'url = "{one.uri}"\nremote-name\n' for one in sources))
        aria.write_text("".join(f"{one.uri}\n" for one in sources))
        peers: Peers = {
            "dag cache": ours(definition),
            "one after the other": lambda _: ["curl", "-sSf", "-K", str(curl)],
            "aria2c -j16": lambda _: ["aria2c", "-q", "-j16", "-i", str(aria)],
            "melange update-cache": lambda target: [
                *(str(binary()), "update-cache", "--cache-dir", str(target), str(definition)),
            ],
        }
        return measure(peers, sources, place, ROUNDS)


def large(place: Path) -> tuple[dict[str, Runs], Runs]:
    """Measure 2 GB, and one eighth of that for the comparison of memory."""
    root = place / "large"
    sources = make(root / "whole", LARGE, SIZE)
    eighths = make(root / "eighth", LARGE, SIZE // 8)
    with serving(root, 0) as urls:
        sources, eighths = served(root, sources, urls), served(root, eighths, urls)
        definition, less = define(place / "much", sources), define(place / "less", eighths)
        uris = " ".join(source.uri for source in sources)
        processors = len(os.sched_getaffinity(0))
        then = (
            f"curl -sSf --parallel --remote-name-all {uris}"
            f" && ls | xargs -n 1 -P {processors} sha256sum"
        )
        at_once = (
            f"printf '%s\\n' {uris}"
            f" | xargs -P {LARGE} -I@ sh -c 'curl -sSf @ | tee \"$(basename @)\" | sha256sum'"
        )
        peers: Peers = {
            "dag cache": ours(definition),
            "curl, then sha256sum": lambda _: ["sh", "-c", then],
            "curl | tee | sha256sum": lambda _: ["sh", "-c", at_once],
        }
        little = measure({"dag cache": ours(less)}, eighths, place, ROUNDS)
        return measure(peers, sources, place, ROUNDS), little["dag cache"]


def ratio(mine: Runs, other: Runs) -> float:
    """Return how many times as long the other took, with the fastest round of each."""
    return min(other.wall) / min(mine.wall)


def main() -> int:
    apt("aria2", "curl")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as temporary:
        first, (second, little) = many(Path(temporary)), large(Path(temporary))
    limits = {
        "one after the other": 15.0,
        "aria2c -j16": 1.0,
        "melange update-cache": 1.0,
        "curl and sha256sum": 0.8,
    }
    print(f"{SMALL} sources, {LATENCY * 1000:.0f} ms before each answer (best of {ROUNDS})")
    for name, runs in first.items():
        print(runs.show(name))
    print(f"{LARGE * SIZE / 1e9:.1f} GB in {LARGE} sources")
    for name, runs in second.items():
        print(runs.show(name))
    ratios = {name: ratio(first["dag cache"], runs) for name, runs in first.items()}
    mine = second.pop("dag cache")
    ratios["curl and sha256sum"] = min(ratio(mine, runs) for runs in second.values())
    failed = False
    for name, limit in limits.items():
        failed |= ratios[name] < limit
        verdict = "ok" if ratios[name] >= limit else "TOO SLOW"
        print(
            f"dag cache is {ratios[name]:5.2f} times as fast as {name} (at least {limit}) {verdict}"
        )
    grown = mine.memory - little.memory
    failed |= grown > FLAT
    print(f"memory: {grown:+} MiB with 8 times the bytes (at most {FLAT}) ", end="")
    print("ok" if grown <= FLAT else "TOO MUCH")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
