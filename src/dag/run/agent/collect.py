"""Takes what a unit's build left into the store, if it is what the definition promises."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import TypeVar

import msgspec

from dag.core.build.recording import make_record
from dag.core.build.usage import USED, Usage
from dag.core.jobs.answers import (
    AgentAnswer,
    EndedAnswer,
    UnprovenAnswer,
    answer_for,
    encode_answer,
)
from dag.core.jobs.order import UnitOrder, decode_order
from dag.core.package.apk import Apk, BrokenPackage
from dag.core.store.layout import RunNames
from dag.core.store.records import Record
from dag.errors import InfrastructureError, words_of
from dag.io.build.usage import read_usage
from dag.io.retries import RetryPolicy
from dag.io.store.local import Store
from dag.report.terminal import say, show
from dag.run.agent.awaiting import BuildEnd, await_build
from dag.run.agent.places import open_agent_store
from dag.run.agent.prepare import PreparedUnit, UnitPlaces, read_prepared, server_of
from dag.run.build.proving import open_readable, staged_promises

T = TypeVar("T")
_PATIENCE = 1800.0
"""Seconds for which a store is tried that cannot be written, before a finished build is given up."""


@dataclass(frozen=True, slots=True)
class _Collection:
    """A build that has ended, and where its parts are."""

    order: UnitOrder
    prepared: PreparedUnit
    places: UnitPlaces
    logs: Path
    end: BuildEnd
    store: Store

    @property
    def log(self) -> str:
        """Return the name of its log in the store."""
        order = self.order
        again = f".attempt-{order.attempt}" if order.attempt > 1 else ""
        return RunNames(order.run, order.arch).log(f"{order.package.name}{again}")


def collect(places: UnitPlaces, logs: Path, message: Path) -> None:
    """Wait for the end of the build, judge what it left, keep that, and answer.

    The answer goes to `message`, and what is too long for that is written to the standard output.

    Raises:
        InfrastructureError: the store cannot be written, or the pod was ended before the build began.

    """
    os.umask(0o022)
    prepared = read_prepared(places.state)
    answer: AgentAnswer
    order = decode_order([prepared.order])
    store = open_agent_store(places.store, order.platform, places.state / "collect")
    known = prepared.known
    if known is not None:
        record = _stubbornly(lambda: _fix(store, order.run, known))
        answer, rest = answer_for(record, results=1, built=False)
    else:
        end = await_build(places.pipe, last=True)
        what = _Collection(order, prepared, places, logs, end, store)
        used = read_usage(logs, PurePath(USED))
        answer, rest = _stubbornly(lambda: _keep(what, used))
    store.close()
    show(rest)
    message.write_bytes(encode_answer(answer))


def _stubbornly(work: Callable[[], T]) -> T:
    """Return what `work` returns, which is done as often as the store needs for it."""
    until = time.monotonic() + _PATIENCE
    for pause in RetryPolicy(first=1.0, longest=30.0).pauses():
        try:
            return work()
        except (OSError, InfrastructureError) as error:
            if time.monotonic() > until:
                raise InfrastructureError(
                    f"the store cannot be written: {words_of(error)}"
                ) from error
            say(f"the store cannot be written, trying again: {words_of(error)}")
            time.sleep(pause)
    raise AssertionError


def _keep(what: _Collection, used: Usage | None) -> tuple[AgentAnswer, list[str]]:
    """Judge and keep what a build left."""
    what.store.prepare()
    _keep_log(what)
    if what.end.code != 0:
        return EndedAnswer(used=used), []
    try:
        record, results = _promote(what)
    except BrokenPackage as error:
        return UnprovenAnswer(str(error), used=used), []
    if what.order.witnessed:
        what.store.runs.of(what.order.run).fix_result(record, anew=True)
    else:
        record = _fix(what.store, what.order.run, record)
    return answer_for(record, results=results, built=True, used=used)


def _fix(store: Store, run: str, record: Record) -> Record:
    """Return the record of a key with which a run goes on: another one, if an attempt was faster.

    Whoever goes on with that run, from whichever machine, goes on with the same.
    """
    kept = store.runs.of(run)
    result = kept.fix_result(record)
    for one in chain([record], store.records_of(record.name, record.key)):
        if one.result == result:
            return one
    kept.fix_result(record, anew=True)  # as the other one is gone, or damaged
    return record


def _keep_log(what: _Collection) -> None:
    try:
        with open_readable(what.logs, PurePath("log")) as file:
            # A client that was killed may have had an attempt of this number before.
            what.store.objects.delete(what.log)
            what.store.objects.create_from(what.log, file)
    except (FileNotFoundError, BrokenPackage) as error:
        say(f"the build left no log: {error}")


def _promote(what: _Collection) -> tuple[Record, int]:
    """Prove what the definition promises, and take it into the store, the record last."""
    order, store = what.order, what.store
    place, package = what.places.place, order.package
    with staged_promises(store.blobs, place, package, order.platform) as staged:
        for one in staged.values():
            store.blobs.keep(one)
        record = _record(what, [one.apk for one in staged.values()])
        store.keep_record(record)
        return record, store.count_results(record)


def _record(what: _Collection, made: Sequence[Apk]) -> Record:
    order, defined = what.order, frozenset(what.order.defined)
    server = server_of(order, what.places.state)
    why = what.prepared.open or server.seen_open(order.package, what.places.place)
    return make_record(
        order.package,
        made,
        what.prepared.given,
        provider=lambda name: name if name in defined else None,
        inputs=msgspec.structs.replace(order.inputs, open=why),
        served=what.prepared.served,
        fingerprint=order.fingerprint,
        epoch=order.epoch,
        seconds=what.end.seconds,
        memory=order.memory,
        log=what.log,
    )
