"""Trying again: one policy for whatever an edge of the program asks of somebody else.

On tenacity, and not on stamina, which wraps it: what waits in a thread has to stop waiting when the
program ends (stamina sleeps without anybody being able to wake it), and nothing here is to be
switched by a global (`stamina.set_active`, `set_testing`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import tenacity

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
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

        pause = self.first
        while True:
            yield pause + random.uniform(0, self.first)  # noqa: S311  # spreads, hides nothing
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
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(heals),
        stop=_make_stop(policy),
        wait=_make_wait(policy),
        sleep=sleep,
        reraise=True,
    )
    try:
        return retrying(operation)
    except MayHeal as error:
        error.attempts = _count(retrying)
        raise


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
    import tenacity

    best = progress()
    made = 0

    async def attempt() -> T:  # tenacity awaits only what is seen to be a coroutine
        return await operation()

    def is_fruitless(error: BaseException) -> bool:
        return heals(error) and progress() <= best

    while True:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_fruitless),
            stop=_make_stop(policy, left=policy.attempts_in_all - made),
            wait=_make_wait(policy),
            sleep=asyncio.sleep,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except Exception as error:
            in_a_row = _count(retrying)
            made += in_a_row
            asked = None
            if isinstance(error, MayHeal):
                asked = error.retry_after
                error.attempts = made if made >= policy.attempts_in_all else in_a_row
            has_grown = heals(error) and progress() > best
            if not has_grown or made >= policy.attempts_in_all or not policy.waits_for(asked):
                raise
            best = progress()
        await asyncio.sleep(asked or 0)


def _make_stop(
    policy: RetryPolicy, *, left: int | None = None
) -> Callable[[tenacity.RetryCallState], bool]:
    import tenacity

    attempts = policy.attempts if left is None else min(policy.attempts, left)

    bounds = tenacity.stop_any(
        tenacity.stop_after_attempt(attempts), tenacity.stop_before_delay(policy.in_all)
    )

    def stop(state: tenacity.RetryCallState) -> bool:
        error = _error_of(state)
        if not isinstance(error, MayHeal):
            return bounds(state)
        too_slow = error.slow and state.attempt_number >= policy.slow_attempts
        return too_slow or not policy.waits_for(error.retry_after) or bounds(state)

    return stop


def _make_wait(policy: RetryPolicy) -> Callable[[tenacity.RetryCallState], float]:
    import tenacity

    own = tenacity.wait_combine(
        tenacity.wait_exponential(multiplier=policy.first, max=policy.longest),
        tenacity.wait_random(0, policy.first),
    )

    def pause(state: tenacity.RetryCallState) -> float:
        error = _error_of(state)
        asked = error.retry_after if isinstance(error, MayHeal) else None
        return max(own(state), asked or 0.0)

    return pause


def _error_of(state: tenacity.RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def _count(retrying: tenacity.BaseRetrying) -> int:
    return int(retrying.statistics.get("attempt_number", 1))
