"""The rules of faults: which request is hit, and what goes wrong with it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal

from tests.support.faults.wire import Answer

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping

    from tests.support.faults.wire import Incoming


class Stage(Enum):
    """The moment in an exchange at which a fault strikes."""

    ARRIVAL = "the request's head has been read, nothing was passed on"
    UPLOAD = "so many bytes of the request's body were passed on"
    DOWNLOAD = "the answer's head and so many bytes of its body were passed on"
    LOST = "the request was performed to its end, nothing of the answer was passed on"


@dataclass(frozen=True, kw_only=True)
class Break:
    """The connection ends in good order (FIN) or with a reset (RST)."""

    stage: Stage
    after: int = 0
    how: Literal["close", "reset"]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Nothing moves for `seconds`, or until the test releases the rule."""

    stage: Stage
    after: int = 0
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Substitute:
    """The upstream server is not asked; this answer, or exactly these bytes, come instead."""

    answer: Answer | None = None
    raw: bytes = b""
    closes: bool = True


@dataclass(frozen=True, kw_only=True)
class Call:
    """A function of the test runs when the request arrives; then the request goes on."""

    function: Callable[[], object]


Fault = Break | Hold | Substitute | Call


def _unreleased() -> Future[None]:
    future: Future[None] = Future()
    # Anyone who waits for a future can cancel it, unless it runs. Others may wait, too.
    future.set_running_or_notify_cancel()
    return future


@dataclass(kw_only=True, eq=False)
class Rule:
    """One fault, for the requests `nth` to `nth + times - 1` of those that match."""

    method: str
    path: re.Pattern[str]
    header: tuple[str, re.Pattern[str]] | None
    nth: int
    times: int | None
    fault: Fault
    seen: int = 0
    """How many matching requests came since the rule was made, with and without the fault."""
    fired: int = 0
    """How many of them met the fault."""
    _reached: threading.Event = field(default_factory=threading.Event)
    _released: Future[None] = field(default_factory=_unreleased)

    def due(self, request: Incoming) -> bool:
        """Count `request` if it matches, and return whether the fault is for it."""
        if self.method not in ("*", request.method) or not self.path.search(request.target):
            return False
        if self.header and not self.header[1].search(request.header(self.header[0]) or ""):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)

    def fire(self) -> None:
        """Note that the fault happens now."""
        self.fired += 1
        self._reached.set()

    def wait(self, timeout: float = 60) -> None:
        """Wait until the fault has happened once. Raises TimeoutError after `timeout` seconds."""
        if not self._reached.wait(timeout):
            raise TimeoutError(
                f"no request met the fault in {timeout} s: {self.method} {self.path.pattern} was "
                f"seen {self.seen} times, the fault is for number {self.nth}"
            )

    async def reached(self, timeout: float = 60) -> None:  # noqa: ASYNC109
        """Wait like `wait`, in a test that has an event loop."""
        await asyncio.to_thread(self.wait, timeout)

    def release(self) -> None:
        """Release what a `stall` holds, and let every later request pass."""
        if not self._released.done():
            self._released.set_result(None)

    async def held(self, seconds: float | None) -> None:
        """Return after `seconds`, or when the rule is released."""
        await asyncio.wait([asyncio.wrap_future(self._released)], timeout=seconds)


class Match:
    """The requests that a fault is for. Each method below names a fault and puts it in force."""

    def __init__(self, rules: list[Rule], make: Callable[[Fault], Rule]) -> None:
        self._rules = rules
        self._make = make

    def _rule(self, fault: Fault) -> Rule:
        rule = self._make(fault)
        self._rules.append(rule)
        return rule

    def refuse(self) -> Rule:
        """Close the connection without an answer; the upstream server never sees the request."""
        return self._rule(Break(stage=Stage.ARRIVAL, how="close"))

    def reset(self, after: int | None = None) -> Rule:
        """Reset the connection (RST), at once or after so many bytes of the answer's body."""
        stage = Stage.ARRIVAL if after is None else Stage.DOWNLOAD
        return self._rule(Break(stage=stage, after=after or 0, how="reset"))

    def truncate(self, after: int) -> Rule:
        """Close the connection in good order after so many bytes of the answer's body."""
        return self._rule(Break(stage=Stage.DOWNLOAD, after=after, how="close"))

    def cut_upload(self, after: int) -> Rule:
        """Reset both sides when so many bytes of the request's body have passed."""
        return self._rule(Break(stage=Stage.UPLOAD, after=after, how="reset"))

    def lose_answer(self) -> Rule:
        """Pass the request on, and close the connection instead of answering."""
        return self._rule(Break(stage=Stage.LOST, how="close"))

    def stall(self, after: int | None = None) -> Rule:
        """Hold the request, or the answer after so many bytes, until `release` is called."""
        stage = Stage.ARRIVAL if after is None else Stage.DOWNLOAD
        return self._rule(Hold(stage=stage, after=after or 0))

    def delay(self, seconds: float) -> Rule:
        """Pass the request on only after `seconds`."""
        return self._rule(Hold(stage=Stage.ARRIVAL, seconds=seconds))

    def answer(
        self,
        status: int,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Rule:
        """Answer in place of the server."""
        return self._rule(Substitute(answer=Answer.of(status, headers, body)))

    def raw(self, answer: bytes, *, closes: bool = True) -> Rule:
        """Send exactly these bytes, HTTP or not; close the connection, or leave that to the client."""
        return self._rule(Substitute(raw=answer, closes=closes))

    def call(self, function: Callable[[], object]) -> Rule:
        """Run `function` in a thread when the request arrives, then pass the request on."""
        return self._rule(Call(function=function))
