"""Brings one URI into one part of the cache, whatever servers do wrong on the way.

A file is asked for with `Accept-Encoding: identity` and its bytes are taken as they are on the
wire, because a checksum is one of what a server stores. Nothing that a server says decides what is
right: only the digest does.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

import h11

from dag.core.web import (
    MAX_REDIRECTS,
    ContentRange,
    check_uri,
    is_web_page,
    may_heal,
    parse_retry_after,
    redact,
)
from dag.errors import UsageError
from dag.io.retries import MayHeal, retry_async
from dag.io.sources.failures import (
    failure_text,
    odd_answer,
    refusal_text,
    status_text,
    tls_problem,
)
from dag.io.sources.http import (
    BrokenConnection,
    Head,
    HttpConnection,
    NoConnection,
    ProxyRefused,
    Silence,
)
from dag.io.sources.intake import Intake, Pace, finish

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.io.sources.part import Part
    from dag.io.sources.targets import RequestTarget
    from dag.io.sources.transport import Gate, SourceTransport

_FRESH_STARTS = 2
"""How often a wrong digest is put down to how the bytes came together: resumed, or cut off where
nobody could see it."""

_BUSY = frozenset({429, 503})
"""The answers of a host that wants fewer requests, or later ones."""


class Unavailable(Exception):  # becomes a Problem, never an error of the program
    """The URI did not give the file, and asking again would not help."""


class _AttemptFailed(MayHeal):
    """The attempt failed, another one may not."""

    heals = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SourceTransfer:
    """The transfer of a file from one of its URIs."""

    def __init__(
        self,
        transport: SourceTransport,
        part: Part,
        uri: str,
        progress: Callable[[int | None], None],
    ) -> None:
        """Take the part, and the URI that should have the file.

        `progress` is told the size of the whole, if that is known, when the part has grown.
        """
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
        for fresh_starts in range(_FRESH_STARTS + 1):
            try:
                await retry_async(self._attempt, policy, progress=lambda: self._part.size)
            except _AttemptFailed as error:
                raise Unavailable(self._why_given_up(error)) from None
            wrong = self._part.find_mismatch()
            if wrong is None:
                return
            await self._in_thread(self._part.restart)
            if (not self._resumed and self._delimited) or fresh_starts == _FRESH_STARTS:
                digest, got = wrong
                raise Unavailable(f"expected {digest}, got {got}{self._hint}")

    def _why_given_up(self, error: _AttemptFailed) -> str:
        if not self._limits.retry.waits_for(error.retry_after):
            return f"{error}; the server asks to come back in {error.retry_after:.0f} s"
        return f"{error} ({error.attempts} times)" if error.attempts > 1 else str(error)

    async def _attempt(self) -> None:
        self._resumed, self._delimited, self._hint = self._part.size > 0, True, ""
        uri = self._uri
        for _ in range(MAX_REDIRECTS + 1):
            try:
                target = self._transport.target(uri)
            except UsageError as error:
                raise Unavailable(error.message) from None
            async with self._transport.turn(target) as gate:
                if gate.is_given_up:  # else each file of a busy host would wait anew
                    raise Unavailable("the server asks to come back later, again and again")
                onward = await self._request(gate, target, uri)
            if onward is None:
                return
            uri = onward
        raise Unavailable(
            f"there were more than {MAX_REDIRECTS} redirects, the last one to {redact(uri)}"
        )

    async def _request(self, gate: Gate, target: RequestTarget, uri: str) -> str | None:
        """Send a request; write the answer's body to the part, or return where it is redirected."""
        limits = self._limits
        try:
            connection, head = await self._ask(gate, target)
            if head.status not in _BUSY:
                gate.note_answer()
            try:
                if head.redirect is not None:
                    return await self._redirect(connection, head, uri)
                await self._answer(gate, connection, head, target)
                return None
            finally:
                gate.give_back(connection)
        except Silence:
            raise _AttemptFailed(f"it stalled: no byte came in {limits.stall:g} s") from None
        except NoConnection as error:
            if (problem := tls_problem(error)) is not None:
                raise Unavailable(f"TLS: {problem}") from None
            if isinstance(error.__cause__, ProxyRefused) and not may_heal(error.__cause__.status):
                raise Unavailable(failure_text(error)) from None
            gate.back_off()
            if isinstance(error.__cause__, TimeoutError):
                raise _AttemptFailed(f"there was no connection in {limits.connect:g} s") from None
            raise _AttemptFailed(failure_text(error)) from None
        except h11.LocalProtocolError as error:
            raise Unavailable(f"it cannot be asked for: {error}") from None
        except (BrokenConnection, h11.RemoteProtocolError) as error:
            raise _AttemptFailed(failure_text(error)) from None

    async def _ask(self, gate: Gate, target: RequestTarget) -> tuple[HttpConnection, Head]:
        """Send a request, and return the head of the answer."""
        limits = self._limits
        headers = {"Range": f"bytes={self._part.size}-"} if self._part.size else {}
        while True:
            connection = await gate.connect(target, patience=limits.connect)
            try:
                async with asyncio.timeout(limits.stall):
                    return connection, await connection.ask(target, headers, stall=limits.stall)
            except BaseException as error:
                connection.close()
                if isinstance(error, TimeoutError):  # it came, but not to an end
                    raise Silence from None
                # That a server has closed a connection meanwhile says nothing about this file.
                if connection.is_new or not isinstance(error, BrokenConnection | h11.ProtocolError):
                    raise

    async def _answer(
        self, gate: Gate, connection: HttpConnection, head: Head, target: RequestTarget
    ) -> None:
        status, offset = head.status, self._part.size
        sent = ContentRange.parse(head.headers.get("content-range"))
        if status == 416 and offset:
            if sent.whole == offset:
                return  # everything is here already
            await self._in_thread(self._part.restart)
            raise _AttemptFailed("the server has less of the file than is here")
        if may_heal(status):
            asked = parse_retry_after(head.headers.get("retry-after"), time.time())
            if status in _BUSY:
                # Who asks for more than anybody waits for is not waited for by the other files either.
                gate.back_off((asked or 0) if self._limits.retry.waits_for(asked) else 0)
            raise _AttemptFailed(status_text(status), asked)
        if status == 206 and sent.first == offset:
            pass  # also without a wish for a range: it is from the first byte on
        elif status == 206 and offset:
            await self._in_thread(self._part.restart)
            raise _AttemptFailed("the server answered with another range than was asked for")
        elif status == 200:
            if offset:
                await self._in_thread(self._part.restart)
            self._resumed = False
        else:
            raise Unavailable(refusal_text(status, self._transport.login_hint(target)))
        await self._body(connection, head)
        if status == 206 and self._part.size == sent.end and sent.end < (sent.whole or 0):
            # Some give no more than so much of a file at once: the next attempt goes on from there.
            raise _AttemptFailed(f"it came in parts, up to byte {self._part.size} of {sent.whole}")

    async def _redirect(self, connection: HttpConnection, head: Head, uri: str) -> str:
        target = head.redirect or ""
        try:
            target = _quote_blanks(urljoin(uri, target))
            check_uri(target)
        except (UsageError, ValueError) as error:
            why = error if isinstance(error, UsageError) else "this is no uri"
            raise Unavailable(f"the server redirects to {redact(target)!r}: {why}") from None
        # Its body is nothing that anybody waits for; where it has none, the connection is of use.
        if head.headers.get("content-length") == "0":
            await connection.read(stall=self._limits.stall)
        return target

    async def _body(self, connection: HttpConnection, head: Head) -> None:
        part, limits = self._part, self._limits
        length = head.headers.get("content-length", "")
        whole = part.size + int(length) if length.isdecimal() else None
        self._delimited = whole is not None or "transfer-encoding" in head.headers
        self._hint = odd_answer(head)
        if whole is not None and whole > limits.max_size:
            await self._in_thread(part.restart)
            raise Unavailable(f"it has {whole} bytes, more than --max-size ({limits.max_size})")
        self._progress(whole)
        intake = Intake(part, self._transport.threads)
        size, pace = part.size, Pace(limits)
        try:
            while (data := await connection.read(stall=limits.stall)) is not None:
                if not size and not self._hint and is_web_page(data):
                    self._hint = " (it is a web page)"
                size += len(data)
                self.received += len(data)
                if size > limits.max_size:
                    break
                if await intake.add(data):
                    self._progress(whole)
                if pace.is_too_slow(len(data)):
                    raise _AttemptFailed(f"it came with fewer than {limits.slowest} bytes a second")
        finally:
            await intake.close()
            self._progress(whole)
        if size > limits.max_size:
            await self._in_thread(part.restart)
            raise Unavailable(f"it has more bytes than --max-size ({limits.max_size})")

    async def _in_thread(self, function: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        await finish(loop.run_in_executor(self._transport.threads, function))


def _quote_blanks(uri: str) -> str:
    """Return a URI with the blanks of its path and query as browsers write them.

    One in a host stays wrong.
    """
    parts = urlsplit(uri)
    path, query = parts.path.replace(" ", "%20"), parts.query.replace(" ", "%20")
    return urlunsplit(parts._replace(path=path, query=query))
