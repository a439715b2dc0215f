"""Retries: how often, after which pause, and when they end."""

from __future__ import annotations

import pytest

from dag.io.retries import MayHeal, RetryPolicy, retry, retry_async


class Failed(MayHeal):
    def __init__(
        self, *, heals: bool = True, retry_after: float | None = None, slow: bool = False
    ) -> None:
        super().__init__("failed")
        self.heals, self.retry_after, self.slow = heals, retry_after, slow


class Operation:
    """An operation that fails as it is told, and then returns the number of its calls."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.calls

    async def later(self) -> int:
        return self()


QUICK = RetryPolicy(attempts=3, first=0.001, longest=0.002)


def test_pauses_double_up_to_the_longest_and_are_spread() -> None:
    waits: list[float] = []
    operation = Operation(*(Failed() for _ in range(5)))
    assert retry(operation, RetryPolicy(first=1, longest=3), sleep=waits.append) == 6
    for wait, least in zip(waits, (1, 2, 3, 3, 3), strict=True):
        assert least <= wait <= least + 1
    assert len(set(waits)) == len(waits)
    pauses = RetryPolicy(first=1, longest=3).pauses()
    for least in (1, 2, 3, 3):
        assert least <= next(pauses) <= least + 1


def test_a_server_that_asks_to_wait_is_waited_for_within_bounds() -> None:
    waits: list[float] = []
    operation = Operation(Failed(retry_after=40), Failed(retry_after=0))
    assert retry(operation, RetryPolicy(first=1), sleep=waits.append) == 3
    assert waits[0] == 40
    assert 2 <= waits[1] <= 3
    operation = Operation(Failed(retry_after=61))
    with pytest.raises(Failed):
        retry(operation, RetryPolicy(), sleep=waits.append)
    assert operation.calls == 1
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("failure", "calls"),
    [(Failed(), 6), (Failed(slow=True), 3), (Failed(heals=False), 1), (ValueError(), 1)],
)
async def test_it_ends_with_the_last_failure(failure: Exception, calls: int) -> None:
    operation = Operation(*[failure] * 9)
    with pytest.raises(type(failure)) as caught:
        retry(operation, RetryPolicy(), sleep=lambda _: None)
    assert caught.value is failure
    assert operation.calls == calls
    assert not isinstance(failure, MayHeal) or failure.attempts == calls
    operation = Operation(*[failure] * 9)
    with pytest.raises(type(failure)):
        await retry_async(operation.later, RetryPolicy(first=0))
    assert operation.calls == calls


def test_no_attempt_begins_after_all_the_time_is_spent() -> None:
    operation = Operation(*(Failed() for _ in range(9)))
    with pytest.raises(Failed):
        retry(operation, RetryPolicy(first=2, in_all=1), sleep=lambda _: None)
    assert operation.calls == 1


def test_what_ends_the_waiting_ends_it_all() -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    operation = Operation(Failed())
    with pytest.raises(KeyboardInterrupt):
        retry(operation, RetryPolicy(), sleep=stop)
    assert operation.calls == 1


async def test_an_attempt_that_brought_something_begins_the_count_anew() -> None:
    operation = Operation(*(Failed() for _ in range(20)))
    brought = 0

    async def attempt() -> int:
        nonlocal brought
        brought += operation.calls % 2
        return operation()

    assert await retry_async(attempt, QUICK, progress=lambda: brought) == 21
    operation = Operation(*(Failed() for _ in range(20)))
    with pytest.raises(Failed) as caught:
        await retry_async(operation.later, QUICK, progress=lambda: brought)
    assert (operation.calls, caught.value.attempts) == (3, 3)


async def test_a_server_that_always_brings_a_little_is_given_up_in_the_end() -> None:
    operation = Operation(*(Failed() for _ in range(200)))
    with pytest.raises(Failed) as caught:
        await retry_async(operation.later, QUICK, progress=lambda: operation.calls)
    assert (operation.calls, caught.value.attempts) == (100, 100)


async def test_who_judges_may_be_somebody_else() -> None:
    operation = Operation(OSError(), OSError())
    assert await retry_async(operation.later, QUICK, heals=lambda e: isinstance(e, OSError)) == 3
