"""One client's connection: one request after the other, each with the fault that a rule names."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import h11

from tests.support.faults.rules import Break, Call, Fault, Hold, Rule, Stage, Substitute
from tests.support.faults.wire import Answer, Headers, Incoming, Peer, header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass(kw_only=True, eq=False)
class Exchange:
    """One request, and what happened to it."""

    request: Incoming
    status: int | None = None
    """The status that was sent to the client, if one was."""
    received: int = 0
    """How many bytes of the request's body were passed on."""
    sent: int = 0
    """How many bytes of the answer's body were sent to the client, without chunk framing."""
    rule: Rule | None = None
    done: bool = False
    """Whether the client got the whole answer."""

    @property
    def fault(self) -> Fault | None:
        """The fault of this exchange, if it has one."""
        return self.rule.fault if self.rule else None

    def fire(self) -> None:
        """Note that the fault happens."""
        if self.rule:
            self.rule.fire()


class Backend(Protocol):
    """The source of the answers of one connection."""

    async def perform(self, request: Incoming, upload: AsyncIterator[bytes]) -> Answer:
        """Return the answer to `request`, whose body is `upload`."""

    async def finish(self) -> None:
        """Get ready for the next request of the connection."""

    def reset(self) -> None:
        """Reset the connection that this uses."""


class _StruckError(Exception):
    """A rule has ended the connection."""


class Connection:
    """One client's connection, which goes on until one side ends it."""

    def __init__(
        self, client: Peer, backend: Backend, begin: Callable[[Incoming], Exchange]
    ) -> None:
        self._client, self._backend, self._begin = client, backend, begin
        self._watch: asyncio.Task[None] | None = None
        self.task = asyncio.create_task(self._run())

    def cut(self) -> asyncio.Task[None]:
        """Reset both sides, and return the task, which ends soon."""
        self._reset()
        self.task.cancel()
        return self.task

    def _reset(self) -> None:
        self._client.reset()
        self._backend.reset()

    async def _run(self) -> None:
        try:
            while await self._next():
                self._client.restart()
            await self._client.close()
            self._backend.reset()
        except (OSError, h11.ProtocolError, _StruckError):
            # One side is gone, broke the protocol, or was hit by a rule. The other side must notice
            # that.
            self._reset()
        finally:
            await self._unwatch()
            self._reset()

    async def _next(self) -> bool:
        """Serve one request; return whether the connection can take another one."""
        event = await self._client.event()
        if not isinstance(event, h11.Request):
            return False
        headers: Headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in event.headers.raw_items()
        )
        request = Incoming(
            method=event.method.decode(), target=event.target.decode("latin-1"), headers=headers
        )
        exchange = self._begin(request)
        upload = self._upload(exchange)
        match exchange.fault:
            case Substitute(answer=answer, raw=raw, closes=closes):
                async for _ in upload:
                    pass
                exchange.fire()
                if answer is None:
                    await self._client.write(raw)
                    if not closes and self._watch:
                        await asyncio.wait([self._watch])
                    return False
            case _:
                await self._strike(exchange, Stage.ARRIVAL)
                answer = await self._backend.perform(request, upload)
        keep = await self._deliver(exchange, answer)
        await self._backend.finish()
        await self._unwatch()
        return keep

    async def _upload(self, exchange: Exchange) -> AsyncIterator[bytes]:
        limit = _limit(exchange, Stage.UPLOAD)
        try:
            while isinstance(event := await self._client.event(), h11.Data):
                piece = bytes(event.data)
                if limit is not None and exchange.received + len(piece) >= limit:
                    yield piece[: limit - exchange.received]
                    exchange.received = limit
                    await self._strike(exchange, Stage.UPLOAD)
                yield piece
                exchange.received += len(piece)
        except (OSError, h11.ProtocolError, _StruckError):
            # This may be read by another task than the one that waits for the answer.
            self._reset()
            raise
        self._watch = asyncio.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        # When the client of an idle watch has gone, the watch must end at the server, too.
        with contextlib.suppress(OSError):
            await self._client.gone()
        self.cut()

    async def _unwatch(self) -> None:
        if self._watch:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None

    async def _deliver(self, exchange: Exchange, answer: Answer) -> bool:
        limit = _limit(exchange, Stage.DOWNLOAD)
        bodiless = exchange.request.method == "HEAD" or answer.status in (204, 304)
        if _limit(exchange, Stage.LOST) is not None:
            async for _ in answer.pieces():
                pass
            await self._strike(exchange, Stage.LOST)
        exchange.status = answer.status
        await self._client.write(answer.head())
        if limit == 0:
            await self._strike(exchange, Stage.DOWNLOAD)
            limit = None
        async for whole in answer.pieces():
            piece = b"" if bodiless else whole
            if limit is not None and exchange.sent + len(piece) >= limit:
                first, piece = piece[: limit - exchange.sent], piece[limit - exchange.sent :]
                await self._send(exchange, answer, first)
                await self._strike(exchange, Stage.DOWNLOAD)
                limit = None
            await self._send(exchange, answer, piece)
        if not bodiless:
            await self._client.write(answer.end())
        exchange.done = True
        length = header(answer.headers, "content-length")
        honest = bodiless or length is None or length == str(exchange.sent)
        parting = "close" in (
            header(exchange.request.headers, "connection"),
            header(answer.headers, "connection"),
        )
        return honest and answer.framing != "close" and not parting

    async def _send(self, exchange: Exchange, answer: Answer, piece: bytes) -> None:
        if piece:
            await self._client.write(answer.frame(piece))
            exchange.sent += len(piece)

    async def _strike(self, exchange: Exchange, stage: Stage) -> None:
        """Apply the exchange's fault, if it belongs to `stage`."""
        match exchange.fault:
            case Break(stage=where, how=how) if where is stage:
                try:
                    if how == "close":
                        await self._client.close()
                finally:  # a client that goes at once ends this task
                    self._reset()
                    exchange.fire()
                raise _StruckError
            case Hold(stage=where, seconds=seconds) if where is stage and exchange.rule:
                exchange.fire()
                await exchange.rule.held(seconds)
            case Call(function=function) if stage is Stage.ARRIVAL:
                exchange.fire()
                await asyncio.to_thread(function)


def _limit(exchange: Exchange, stage: Stage) -> int | None:
    """Return after how many bytes the exchange's fault strikes, if it does at that stage."""
    match exchange.fault:
        case Break(stage=where, after=after) | Hold(stage=where, after=after) if where is stage:
            return after
    return None
