"""One URI into one part of the cache: attempts, resumption, redirects, and what servers do wrong.

A file is asked for with `Accept-Encoding: identity` and its bytes are taken as they are on the
wire, because a checksum is one of what a server stores. Nothing that a server says decides what is
right: only the digest does.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx2

from dag.core.sources.downloads import (
    MAX_REDIRECTS,
    check_uri,
    content_range,
    may_heal,
    redact,
    retry_after,
)
from dag.errors import UsageError
from dag.io.sources.cache import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from dag.io.sources.cache import Part
    from dag.io.sources.transport import SourceTransport, TransferLimits

_FRESH_STARTS = 2
"""How often a wrong digest is put down to how the bytes came together: resumed, or cut off where
nobody could see it."""
_SMALL_BODY = 1 << 16


class Unavailable(Exception):  # becomes a Problem, never an error of the program
    """The URI did not give the file, and asking again would not help."""


class _Healing(Exception):
    """The attempt failed, another one may not."""

    def __init__(self, message: str, asked: float | None = None) -> None:
        super().__init__(message)
        self.asked = asked


class _Intake:
    """Gathers blocks, and has one written and hashed while the next one comes."""

    def __init__(self, part: Part, threads: ThreadPoolExecutor) -> None:
        self._part = part
        self._threads = threads
        self._pieces: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Future[None] | None = None

    async def add(self, data: bytes) -> bool:
        """Take more; say whether a block was full."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size < BLOCK:
            return False
        await self._written()
        self._write()
        return True

    async def close(self) -> None:
        """Write the rest: what has come is kept, whatever happened.

        Nobody may close the file under a thread that writes, not even when the task is cancelled.
        """
        await self._written()
        if self._size > _SMALL_BODY:
            self._write()
            await self._written()
        elif self._pieces:  # a thread would cost more
            self._part.write(b"".join(self._pieces))

    def _write(self) -> None:
        # One piece, joined here: a thread that came back to the interpreter for each would wait
        # for this one every time.
        block = b"".join(self._pieces)
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(self._threads, self._part.write, block)
        self._pieces, self._size = [], 0

    async def _written(self) -> None:
        if (writing := self._writing) is not None:
            self._writing = None
            await _finish(writing)


class _Pace:
    """Notices a body that trickles."""

    def __init__(self, limits: TransferLimits) -> None:
        self._limits = limits
        self._since = time.monotonic()
        self._bytes = 0

    def check(self, more: int) -> None:
        self._bytes += more
        now = time.monotonic()
        if now - self._since < self._limits.stall:
            return
        if self._bytes < self._limits.slowest * self._limits.stall:
            raise _Healing(f"slower than {self._limits.slowest} bytes a second")
        self._since, self._bytes = now, 0


class SourceTransfer:
    """The transfer of one file from one URI."""

    def __init__(
        self,
        transport: SourceTransport,
        part: Part,
        uri: str,
        progress: Callable[[int | None], None],
    ) -> None:
        """`progress` is told the size of the whole, if that is known, when the part has grown."""
        self.received = 0
        """Bytes of bodies, of all attempts."""
        self._transport = transport
        self._limits = transport.limits
        self._part = part
        self._uri = uri
        self._progress = progress
        self._resumed = False
        self._delimited = True
        self._hint = ""

    async def fetch(self) -> None:
        """Bring the file into the part; its digests are right afterwards.

        Raises:
            Unavailable: it did not come, or is another one; then the part is empty.
            OSError: the part cannot be written.

        """
        policy = self._limits.retry
        best, fruitless, fresh_starts = 0, 0, 0
        for _ in range(policy.attempts_in_all):
            try:
                await self._attempt()
            except _Healing as error:
                fruitless = 0 if self._part.size > best else fruitless + 1
                best = max(best, self._part.size)
                pause = policy.pause(fruitless, error.asked)
                if pause is None:
                    raise Unavailable(self._given_up(error, fruitless)) from None
                await asyncio.sleep(pause)
                continue
            wrong = self._part.mismatch()
            if wrong is None:
                return
            await self._in_thread(self._part.restart)
            if (not self._resumed and self._delimited) or fresh_starts == _FRESH_STARTS:
                digest, got = wrong
                raise Unavailable(f"expected {digest}, got {got}{self._hint}")
            fresh_starts, best, fruitless = fresh_starts + 1, 0, 0
        raise Unavailable(f"broke off {policy.attempts_in_all} times")

    def _given_up(self, error: _Healing, fruitless: int) -> str:
        if error.asked is not None and error.asked > self._limits.retry.longest_asked:
            return f"{error}, asks to come back in {error.asked:.0f} s"
        return f"{error} ({fruitless} times)" if fruitless > 1 else str(error)

    async def _attempt(self) -> None:
        self._resumed, self._delimited, self._hint = self._part.size > 0, True, ""
        uri = self._uri
        for _ in range(MAX_REDIRECTS + 1):
            async with self._transport.turn(uri):
                target = await self._request(uri)
            if target is None:
                return
            uri = target
        raise Unavailable(f"more than {MAX_REDIRECTS} redirects, the last to {redact(uri)}")

    async def _request(self, uri: str) -> str | None:
        """Ask `uri`; the answer's body goes to the part, or a redirect's target is returned."""
        headers = {"Range": f"bytes={self._part.size}-"} if self._part.size else {}
        client, limits = self._transport.gate(uri).client, self._limits
        try:
            request = client.build_request("GET", uri, headers=headers)
            async with asyncio.timeout(limits.connect + limits.stall):
                response = await client.send(request, stream=True)
            try:
                return await self._answer(response, uri)
            finally:
                await response.aclose()
        except TimeoutError:
            raise _Healing(f"no answer in {limits.connect + limits.stall:g} s") from None
        except httpx2.TimeoutException as error:
            if isinstance(error, httpx2.ConnectTimeout):
                self._transport.gate(uri).back_off()
                raise _Healing(f"no connection in {limits.connect:g} s") from None
            raise _Healing(f"stalled: no byte in {limits.stall:g} s") from None
        except httpx2.UnsupportedProtocol as error:
            raise Unavailable(str(error)) from None
        except httpx2.TransportError as error:
            if (problem := _tls_problem(error)) is not None:
                raise Unavailable(f"TLS: {problem}") from None
            if isinstance(error, httpx2.ConnectError):
                self._transport.gate(uri).back_off()
            raise _Healing(_words(error)) from None
        except (httpx2.InvalidURL, httpx2.HTTPError, UnicodeError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None

    async def _answer(self, response: httpx2.Response, uri: str) -> str | None:
        status, offset = response.status_code, self._part.size
        if response.has_redirect_location:
            return await self._redirect(response, uri)
        if status == 416 and offset:
            if content_range(response.headers.get("Content-Range"))[1] == offset:
                return None  # everything is here already
            await self._in_thread(self._part.restart)
            raise _Healing("the server does not have that much of the file")
        if may_heal(status):
            asked = retry_after(response.headers.get("Retry-After"), time.time())
            if status in (429, 503):
                longest = self._limits.retry.longest_asked
                self._transport.gate(uri).back_off(min(asked or 0, longest))
            raise _Healing(_status(status), asked)
        if status == 206 and offset:
            if content_range(response.headers.get("Content-Range"))[0] != offset:
                await self._in_thread(self._part.restart)
                raise _Healing("answered with another range than was asked for")
        elif status == 200:
            if offset:
                await self._in_thread(self._part.restart)
            self._resumed = False
        else:
            raise Unavailable(_status(status))
        await self._body(response)
        return None

    async def _redirect(self, response: httpx2.Response, uri: str) -> str:
        target = response.headers["Location"]
        try:
            target = _quoted(urljoin(uri, target))
            check_uri(target)
        except (UsageError, ValueError) as error:
            why = error if isinstance(error, UsageError) else "this is no uri"
            raise Unavailable(f"redirects to {redact(target)!r}: {why}") from None
        # Its body is nothing that anybody waits for; where it has none, the connection is of use.
        if response.headers.get("Content-Length") == "0":
            async for _ in response.aiter_raw():
                pass
        return target

    async def _body(self, response: httpx2.Response) -> None:
        part, limits = self._part, self._limits
        length = response.headers.get("Content-Length", "")
        whole = part.size + int(length) if length.isdecimal() else None
        self._delimited = whole is not None or "Transfer-Encoding" in response.headers
        self._hint = _hint(response)
        if whole is not None and whole > limits.max_size:
            await self._in_thread(part.restart)
            raise Unavailable(f"has {whole} bytes, more than --max-size ({limits.max_size})")
        self._progress(whole)
        intake = _Intake(part, self._transport.threads)
        size, pace = part.size, _Pace(limits)
        try:
            async for data in response.aiter_raw():
                size += len(data)
                self.received += len(data)
                if size > limits.max_size:
                    break
                if await intake.add(data):
                    self._progress(whole)
                pace.check(len(data))
        finally:
            await intake.close()
            self._progress(whole)
        if size > limits.max_size:
            await self._in_thread(part.restart)
            raise Unavailable(f"has more bytes than --max-size ({limits.max_size})")

    async def _in_thread(self, function: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        await _finish(loop.run_in_executor(self._transport.threads, function))


async def _finish(work: asyncio.Future[None]) -> None:
    """Wait for a thread's work to its end, and only then let a cancellation through."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:  # noqa: BLE001  # result() raises it below
            break
    if cancelled is not None:
        raise cancelled
    work.result()


def _quoted(uri: str) -> str:
    """Write the blanks of a path and a query as browsers do; one in a host stays wrong."""
    parts = urlsplit(uri)
    path, query = parts.path.replace(" ", "%20"), parts.query.replace(" ", "%20")
    return urlunsplit(parts._replace(path=path, query=query))


def _hint(response: httpx2.Response) -> str:
    encoding = response.headers.get("Content-Encoding")
    if encoding and encoding != "identity":
        return f" (sent with Content-Encoding {encoding[:20]!r}, which was not asked for)"
    if response.headers.get("Content-Type", "").startswith("text/html"):
        return " (the server says that it is a web page)"
    return ""


def _status(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _words(error: httpx2.TransportError) -> str:
    text, cause = str(error), error.__cause__ or error.__context__
    while not text and cause is not None:
        text, cause = str(cause), cause.__cause__ or cause.__context__
    text = text or type(error).__name__
    return {
        httpx2.ReadError: "the connection broke",
        httpx2.RemoteProtocolError: f"broke the protocol or off: {text}",
        httpx2.ConnectError: f"no connection: {text}",
        httpx2.ProxyError: f"the proxy refuses: {text}",
    }.get(type(error), text)


def _tls_problem(error: BaseException) -> str | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen.verify_message
        if isinstance(seen, ssl.SSLError) and not isinstance(seen, ssl.SSLEOFError):
            return seen.reason or str(seen)
        seen = seen.__cause__ or seen.__context__
    return None
