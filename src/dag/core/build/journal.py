"""The journal of a run: its events as lines, and a scheduler out of such lines.

A line is one JSON object. The first one is the head: the units, the limits and what else a reader
needs. Each other one is an event and its time, in seconds since the head's `began`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from msgspec import Struct

from dag.core.build.events import Event, Proven, Unchanged, Unit
from dag.core.build.scheduler import Scheduler, replay
from dag.core.build.states import InvalidTransitionError, RunLimits
from dag.core.build.summary import PlanSummary
from dag.core.decoding import NotJson, Undecodable, decode
from dag.core.limits import JOURNAL_LINE

FORMAT = 1


class BrokenJournal(ValueError):
    """A journal that cannot be read; the message names the line."""


class JournalHead(PlanSummary, frozen=True, kw_only=True, tag_field="format", tag=FORMAT):
    """The first line: what a reader must know of the run."""

    began: float
    """When the run began, in seconds since 1970."""
    pid: int
    """The process that runs it."""
    run: str = ""
    """The run's id; empty if it is of a version that kept only one run."""
    limits: RunLimits
    units: tuple[Unit, ...]
    results: dict[str, str] = msgspec.field(default_factory=dict)
    """The results that the runs before, which were killed, went on with, by unit; also of definitions that
    are gone."""
    found: tuple[str, ...] = ()
    """The units that are finished with these results, and belong to this run without being built in it."""


class _Stamp(Struct):
    t: float


_HEAD = msgspec.json.Decoder(JournalHead)
_STAMP = msgspec.json.Decoder(_Stamp)
_EVENT = msgspec.json.Decoder[Event](Event)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run as its journal has it."""

    head: JournalHead
    scheduler: Scheduler
    """The scheduler after the last event."""
    last: float
    """When the last event happened, in seconds since the run began."""


def make_head(
    about: PlanSummary,
    scheduler: Scheduler,
    *,
    began: float,
    pid: int,
    run: str = "",
    results: Mapping[str, str] = MappingProxyType({}),
    found: Iterable[str] = (),
) -> JournalHead:
    """Return the head of a run: its plan, the units and limits of its scheduler, and its process."""
    return JournalHead(
        **msgspec.structs.asdict(about),
        began=began,
        pid=pid,
        run=run,
        limits=scheduler.limits,
        units=tuple(progress.unit for progress in scheduler.units.values()),
        results=dict(results),
        found=tuple(found),
    )


def encode_head(head: JournalHead) -> bytes:
    """Return the first line."""
    return msgspec.json.encode(head) + b"\n"


def encode_event(now: float, event: Event) -> bytes:
    """Return the line of an event that happened at `now`."""
    return msgspec.json.encode({"t": round(now, 6), **msgspec.to_builtins(event)}) + b"\n"


def decode_event(line: bytes) -> tuple[float, Event]:
    """Return the time and the event of a line.

    Raises:
        Undecodable: it has none.

    """
    return decode(_STAMP, line, limit=JOURNAL_LINE.most).t, decode(
        _EVENT, line, limit=JOURNAL_LINE.most
    )


def results_of(lines: Iterable[bytes], *, of_plan: bool = False) -> dict[str, str]:
    """Return the results that a run has gone on with, by unit; what cannot be read tells of none.

    With `of_plan` it is only those of units that belong to the run.
    """
    results: dict[str, str] = {}
    for number, line in enumerate(lines):
        with suppress(Undecodable):
            if number == 0:
                head = decode(_HEAD, line, limit=JOURNAL_LINE.most)
                mine = {*head.found, *head.packages} if of_plan else head.results
                results |= {key: one for key, one in head.results.items() if key in mine}
                continue
            match decode_event(line)[1]:
                case Proven(key=key, result=result) | Unchanged(key=key, result=result) if result:
                    results[key] = result
                case _:
                    pass
    return results


def replay_run(lines: Iterable[bytes]) -> RecordedRun:
    """Return the run that a journal tells of; a last line that was never finished is left out.

    Raises:
        BrokenJournal: a line is not what it should be, or tells of something that cannot happen.

    """
    head: JournalHead | None = None
    events: list[tuple[float, Event]] = []
    torn: BrokenJournal | None = None
    for number, line in enumerate(lines, start=1):
        if torn is not None:  # and yet another line comes, so it was not the last one
            raise torn
        try:
            if not line.endswith(b"\n"):
                torn = BrokenJournal(f"line {number} has no end")
            elif head is None:
                head = decode(_HEAD, line, limit=JOURNAL_LINE.most)
            else:
                events.append(decode_event(line))
        except NotJson as error:
            torn = BrokenJournal(f"line {number}: {error}")
        except Undecodable as error:
            raise BrokenJournal(f"line {number}: {error}") from None
    if head is None:
        raise torn or BrokenJournal("it is empty")
    try:
        scheduler = replay(head.units, head.limits, events)
    except (ValueError, InvalidTransitionError) as error:
        raise BrokenJournal(f"its lines contradict each other: {error}") from error
    if unknown := head.packages.keys() - scheduler.units.keys():
        raise BrokenJournal(f"line 1: the package {min(unknown)} is not one of the units")
    return RecordedRun(head, scheduler, events[-1][0] if events else 0.0)
