"""Files that definitions need, fetched into a cache of which every file is then verified."""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
from typing import TYPE_CHECKING

from dag.core.package.model import Fetch
from dag.core.sources.downloads import Download, downloads_of
from dag.io.retries import RetryPolicy
from dag.io.sources.cache import Cache
from dag.io.sources.downloads import Downloader, DownloadOutcome
from dag.io.sources.transport import TransferLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = random.Random(5).randbytes(3_000_000)
SMALL = b"a small source\n"

# The limits are short, so that a timeout comes at once; no time is measured here.
LIMITS = TransferLimits(
    connect=5, stall=5, retry=RetryPolicy(attempts=3, first=0.001, longest=0.01, longest_asked=1)
)
IMPATIENT = TransferLimits(
    connect=0.3, stall=0.3, retry=RetryPolicy(attempts=2, first=0.001, longest=0.001)
)


class Silent:
    """An observer of downloads that keeps what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.open: set[str] = set()

    def begin(self, key: str, label: str) -> None:
        assert key not in self.open
        self.open.add(key)

    def advance(self, key: str, done: int, total: int | None) -> None:
        assert key in self.open
        assert done >= 0

    def end(self, key: str, *, ok: bool) -> None:
        self.open.remove(key)

    def note(self, text: str) -> None:
        self.notes.append(text)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wanted(data: bytes, *uris: str, sha512: bool = False) -> Download:
    second = hashlib.sha512(data).hexdigest() if sha512 else ""
    steps = [
        Fetch(uri, sha256(data), second, False, "x.yaml", line)
        for line, uri in enumerate(uris, start=10)
    ]
    (download,), problems = downloads_of(steps)
    assert not problems
    return download


def fetch(
    cache: Cache,
    *items: Download,
    limits: TransferLimits = LIMITS,
    mirrors: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    watcher: Silent | None = None,
    verify: bool = False,
) -> list[DownloadOutcome]:
    watcher = watcher or Silent()
    downloader = Downloader(cache, watcher, limits=limits, mirrors=mirrors, tls=tls, verify=verify)
    outcomes = asyncio.run(downloader.run(items))
    assert not watcher.open
    verify_everything(cache)
    return outcomes


def verify_everything(cache: Cache) -> None:
    """Check what holds after every test: each file of the cache has the content that its name says."""
    for name in cache.names():
        algorithm, _, digest = name.partition(":")
        assert hashlib.new(algorithm, (cache.directory / name).read_bytes()).hexdigest() == digest


def failed(cache: Cache, *items: Download, limits: TransferLimits = LIMITS) -> str:
    """Fetch what cannot be fetched, and return the messages about that."""
    outcomes = fetch(cache, *items, limits=limits)
    assert [outcome.status for outcome in outcomes] == ["failed"] * len(items)
    assert cache.names() == []
    return "\n".join(str(problem) for outcome in outcomes for problem in outcome.problems)


def files(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.directory.iterdir() if path.name != ".dag")
