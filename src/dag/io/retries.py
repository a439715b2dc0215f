"""Trying again: one policy for whatever an edge of the program asks of somebody else.

It is not a library's, because of what such libraries leave out: a count that begins anew when an
attempt has brought something, waits that a server asks for, and sleeps that the end of the program
ends.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")

_DOUBLED = 2


class MayHeal(Exception):
    """An error after which another attempt may succeed."""

    heals: bool = False
    """Whether it may."""
    retry_after: float | None = None
    """How many seconds the server asked to wait."""
    slow: bool = False
    """The attempt took its time and brought nothing, as the next one will: few are made."""
    attempts: int = 1
    """How many attempts in a row had failed when the last one was given up."""


def may_heal(error: BaseException) -> bool:
    """Return whether another attempt may succeed."""
    return isinstance(error, MayHeal) and error.heals


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """The bounds on trying again. Times in seconds."""

    attempts: int = 6
    """How many attempts in a row may bring nothing."""
    slow_attempts: int = 3
    """How many attempts in a row may bring nothing and take their time."""
    attempts_in_all: int = 100
    """How many attempts are made at all: this bounds a server that resets after every byte."""
    first: float = 0.5
    """The pause after the first attempt; each one is twice as long as the one before. To each a
    random part of this is added, so that many that failed at once do not come back at once."""
    longest: float = 8.0
    """No pause gets longer than this, before the random part; the server may ask for more."""
    longest_asked: float = 60.0
    """A server that asks for more (Retry-After) is not waited for."""
    in_all: float = 3600.0
    """After so long, counted from when an attempt last brought something, no further one begins."""

    def waits_for(self, seconds: float | None) -> bool:
        """Return whether a server that asks to wait so long is waited for."""
        return seconds is None or seconds <= self.longest_asked

    def pauses(self) -> Iterator[float]:
        """Return the pauses between attempts, without an end, for a loop that has its own."""
        import random

        pause, chance = self.first, random.Random()  # noqa: S311  # spreads, hides nothing
        while True:
            yield pause + chance.uniform(0, self.first)
            pause = min(_DOUBLED * pause, self.longest)


def retry(
    operation: Callable[[], T],
    policy: RetryPolicy,
    *,
    heals: Callable[[BaseException], bool] = may_heal,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Run an operation until it succeeds, or fails in a way that does not heal.

    `sleep` waits for so many seconds; it may raise, to end it all.

    Raises:
        Exception: what the last attempt raised; a `MayHeal` has counted the attempts.

    """
    row = _Row(policy)
    while True:
        try:
            return operation()
        except Exception as error:
            pause = row.pause_after(error, heals=heals(error))
            if pause is None:
                if isinstance(error, MayHeal):
                    error.attempts = row.failed
                raise
        sleep(pause)


async def retry_async(
    operation: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    *,
    heals: Callable[[BaseException], bool] = may_heal,
    progress: Callable[[], int] = lambda: 0,
) -> T:
    """Run an operation until it succeeds, or fails in a way that does not heal.

    An attempt that failed and still brought something has made `progress` greater: then the count
    begins anew, with the next attempt at once.

    Raises:
        Exception: what the last attempt raised; a `MayHeal` has counted the attempts.

    """
    best, made, row = progress(), 0, _Row(policy)
    while True:
        try:
            return await operation()
        except Exception as error:
            made += 1
            is_healing = heals(error)
            pause = row.pause_after(error, heals=is_healing)
            failed = row.failed
            if is_healing and progress() > best:
                best, row = progress(), _Row(policy)
                asked = _asked_by(error)
                pause = (asked or 0) if policy.waits_for(asked) else None
            if made >= policy.attempts_in_all:
                pause, failed = None, made
            if pause is None:
                if isinstance(error, MayHeal):
                    error.attempts = failed
                raise
        await asyncio.sleep(pause)


class _Row:
    """Attempts in a row that brought nothing."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.failed = 0
        self._policy = policy
        self._pauses = policy.pauses()
        self._began = time.monotonic()

    def pause_after(self, error: Exception, *, heals: bool) -> float | None:
        """Count a failure; return how many seconds later to try again, or None for never."""
        self.failed += 1
        policy, asked = self._policy, _asked_by(error)
        is_slow = isinstance(error, MayHeal) and error.slow
        most = min(policy.attempts, policy.slow_attempts if is_slow else policy.attempts)
        if not heals or self.failed >= most or not policy.waits_for(asked):
            return None
        pause = max(next(self._pauses), asked or 0)
        spent = time.monotonic() - self._began
        return pause if spent + pause < policy.in_all else None


def _asked_by(error: Exception) -> float | None:
    return error.retry_after if isinstance(error, MayHeal) else None
