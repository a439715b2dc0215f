"""Checks a watch for what must hold between any two events, whatever the events were."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dag.core.pod.reading import ReadingState
from dag.core.pod.states import LIVE, WatchState
from dag.core.pod.watch import PodWatch


def validate(watch: PodWatch) -> None:
    """Check a watch.

    Raises:
        AssertionError: something does not hold; it names all that does not.

    """
    broken = list(_broken_invariants(watch))
    if broken:
        past = ", ".join(f"{then:g}: {what.value}" for then, what in watch.history)
        raise AssertionError(f"{watch.state.value}: {'; '.join(broken)}; history: {past}")


def _broken_invariants(watch: PodWatch) -> Iterator[str]:
    yield from _broken_state(watch)
    yield from _broken_clocks(watch)
    yield from _broken_logs(watch)


def _broken_state(watch: PodWatch) -> Iterator[str]:
    state = watch.state
    unborn = state in (WatchState.CREATING, WatchState.SEARCHING)
    if unborn and watch.pod:
        yield "there is a pod before it was created"
    if not unborn and state is not WatchState.ENDED and not watch.pod:
        yield "there is no pod"
    if state in LIVE and (watch.ending is not None or watch.is_interrupted):
        yield "it goes on although it has ended or was interrupted"
    if state is WatchState.DRAINING and watch.ending is None:
        yield "it drains, and nothing has ended"
    if state is WatchState.REMOVING and watch.ending is None and not watch.is_interrupted:
        yield "it removes a pod for no reason"
    if watch.handover.fetched is not None and not watch.handover.is_begun:
        yield "something was fetched that nobody asked for"


def _broken_clocks(watch: PodWatch) -> Iterator[str]:
    state, for_ever = watch.state, watch.due() == math.inf
    if state is WatchState.REMOVING and for_ever:
        yield "it may wait for ever for the pod to go"
    if state in (WatchState.WAITING, WatchState.LATE) and watch.has_news and for_ever:
        yield "it may wait for ever for something to run"
    if state is WatchState.WORKING and watch.patience.idle_since is not None:
        yield "a clock of waiting runs while something works"


def _broken_logs(watch: PodWatch) -> Iterator[str]:
    for name, reader in watch.logs.readers.items():
        if (reader.state is ReadingState.PAUSING) != (reader.due is not None):
            yield f"the log of {name} pauses without end, or has an end without a pause"
        if reader.is_open and watch.state not in (*LIVE, WatchState.DRAINING):
            yield f"the log of {name} is still read"
