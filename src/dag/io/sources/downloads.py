"""Brings many downloads at once, verified while they come, each into the cache or a message."""

from __future__ import annotations

import asyncio
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from dag.core.sources.downloads import (
    Download,
    SourceProblem,
    Watcher,
    mirror_uris,
    order_in_turns,
)
from dag.core.web import host_of, redact
from dag.errors import DagError, InfrastructureError, first_of
from dag.io.sources.cache import Verdict
from dag.io.sources.transfer import SourceTransfer, Unavailable
from dag.io.sources.transport import SourceTransport, TransferLimits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from dag.io.sources.cache import Cache
    from dag.io.sources.logins import Logins
    from dag.io.sources.part import Part

P = ParamSpec("P")
T = TypeVar("T")

_OPEN = 256
"""Downloads that are begun at once, most of them waiting for their host: each has a file open."""

_CACHE_IS_UNUSABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE}
)
"""Errors of which every other download would die, too; anything else is about one file."""

FetchStatus = Literal["present", "fetched", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOutcome:
    """The end of a download: whether it is in the cache, and what was wrong."""

    download: Download
    status: FetchStatus
    size: int = 0
    received: int = 0
    """Bytes that came over the network, failed attempts included."""
    uri: str = ""
    """The URI that it came from, redacted."""
    problems: tuple[SourceProblem, ...] = ()
    """The reasons why its URIs failed; a success may have some, too."""


class Downloader:
    """Brings downloads into a cache."""

    def __init__(
        self,
        cache: Cache,
        watcher: Watcher,
        *,
        limits: TransferLimits | None = None,
        mirrors: Sequence[str] = (),
        verify: bool = False,
        tls: ssl.SSLContext | None = None,
        logins: Logins | None = None,
    ) -> None:
        """Take the cache, and who is told of the progress.

        `mirrors` are asked by digest before a URI. `verify` looks at every file that is there.
        `tls` is how servers are verified, in the place of the system's way. `logins` are told to
        their hosts.
        """
        self._cache = cache
        self._watcher = watcher
        self._limits = limits or TransferLimits()
        self._mirrors = tuple(mirrors)
        self._verify = verify
        self._tls = tls
        self._logins = logins
        self._threads: ThreadPoolExecutor
        self._transport: SourceTransport
        self._open = asyncio.Semaphore(_OPEN)

    async def run(self, wanted: Sequence[Download]) -> list[DownloadOutcome]:
        """Fetch what is not there; outcomes are in the order of `wanted`.

        One that fails does not stop the others.

        Raises:
            InfrastructureError: the cache itself cannot be used: no space, no permission.

        """
        # Hashing and writing let go of the interpreter's lock, so that threads do run beside the
        # event loop; more than the processors only for the sake of a disk that makes them wait.
        threads = ThreadPoolExecutor(2 + (os.cpu_count() or 1), "cache")
        with threads as self._threads:
            async with SourceTransport(
                self._limits, threads, self._tls, self._logins
            ) as self._transport:
                failed: DagError | None = None
                try:
                    async with asyncio.TaskGroup() as group:
                        tasks = {
                            index: group.create_task(self._fetch_one(wanted[index]))
                            for index in order_in_turns([host_of(item.uris[0]) for item in wanted])
                        }
                    self._cache.settle()
                except* OSError as errors:
                    failed = self._unusable_cache(errors)
                except* InfrastructureError as errors:
                    failed = failed or first_of(errors)
                if failed is not None:  # what is raised in except* is wrapped before Python 3.11.4
                    raise failed
        return [tasks[index].result() for index in range(len(wanted))]

    def _unusable_cache(self, errors: BaseExceptionGroup[OSError]) -> InfrastructureError:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        why = getattr(error, "strerror", None) or str(error)
        return InfrastructureError(
            f"{getattr(error, 'filename', None) or self._cache.directory}: {why}",
            hint="what was fetched so far is kept and will not be fetched again",
        )

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def _fetch_one(self, download: Download) -> DownloadOutcome:
        async with self._open:
            try:
                return await self._fetch(download)
            except (DagError, asyncio.CancelledError):
                raise
            except OSError as error:
                if error.errno in _CACHE_IS_UNUSABLE:
                    raise
                name = error.filename or self._cache.directory / download.name
                why = f"{name}: {error.strerror or error}"
            except Exception as error:  # noqa: BLE001  # one source's failure, not the run's end
                why = f"{type(error).__name__}: {error}"
            problem = SourceProblem(download.places[0], redact(download.uris[0]), why)
            return DownloadOutcome(download=download, status="failed", problems=(problem,))

    async def _fetch(self, download: Download) -> DownloadOutcome:
        verdict = Verdict(download.digests)
        if self._cache.has_any(download.digests):  # else there is nothing to take a thread for
            check = self._cache.check
            verdict = await self._in_thread(check, download.digests, force=self._verify)
        if not verdict.missing:
            return DownloadOutcome(download=download, status="present", size=verdict.size)
        self._watcher.begin(download.key, redact(download.uris[0]))
        ok = False
        try:
            part = await self._cache.wait_for_part(download.digests)
            try:
                outcome = await self._fetch_into(part, download, force=bool(verdict.wrong))
            finally:
                part.close()
            ok = outcome.status != "failed"
        finally:
            self._watcher.end(download.key, ok=ok)
        return outcome

    def _prepare(self, part: Part, download: Download, *, force: bool) -> Verdict:
        # Another process may have brought it while this one waited for the lock.
        verdict = self._cache.check(download.digests, force=force, repair=True)
        if verdict.missing:
            part.load()
        return verdict

    async def _fetch_into(self, part: Part, download: Download, *, force: bool) -> DownloadOutcome:
        verdict = Verdict(download.digests)
        if self._cache.has_any(download.digests) or not part.is_empty:
            verdict = await self._in_thread(self._prepare, part, download, force=force)
        if not verdict.missing:
            part.discard()
            return DownloadOutcome(download=download, status="present", size=verdict.size)
        for digest, got in verdict.wrong:
            path = self._cache.directory / digest.name
            self._watcher.note(f"{path}: has other bytes ({got[:16]}…) than its name says; removed")
        mirrored = mirror_uris(self._mirrors, download)
        places = dict(zip(download.uris, download.origins, strict=True))
        problems: list[SourceProblem] = []
        received = 0

        def progress(total: int | None) -> None:
            self._watcher.advance(download.key, part.size, total)

        for uri in dict.fromkeys((*mirrored, *download.uris)):
            source = SourceTransfer(self._transport, part, uri, progress)
            try:
                await source.fetch()
            except Unavailable as error:
                place = places.get(uri, download.places[0])
                problems.append(SourceProblem(place, redact(uri), str(error)))
                continue
            finally:
                received += source.received
            await self._in_thread(self._cache.commit, part, download.digests)
            return DownloadOutcome(
                download=download,
                status="fetched",
                size=part.size,
                received=received,
                uri=redact(uri),
                problems=tuple(problems),
            )
        return DownloadOutcome(
            download=download, status="failed", received=received, problems=tuple(problems)
        )
