"""Events of a run as lines of a journal, and a scheduler out of such lines.

A line is one JSON object. The first one is the head: the units, the limits and what else a reader
needs. Each other one is an event and its time, in seconds since the head's `began`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from dag.core.build import events
from dag.core.build.events import ComputeResources, Event, Unit
from dag.core.build.scheduler import Scheduler, replay
from dag.core.build.states import InvalidTransitionError, RunLimits

FORMAT = 1
_EVENTS: Mapping[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        events.Began,
        events.Succeeded,
        events.Proven,
        events.Broke,
        events.OutOfMemory,
        events.Faulted,
        events.Cancelled,
        events.Ticked,
        events.StopRequested,
    )
}

Line = dict[str, Any]


def head(units: Iterable[Unit], limits: RunLimits, about: Mapping[str, Any]) -> Line:
    """Write the first line; `about` is for readers."""
    return {
        "format": FORMAT,
        **about,
        "limits": asdict(limits),
        "units": [asdict(unit) for unit in units],
    }


def line(now: float, event: Event) -> Line:
    """Write an event that happened at `now`."""
    return {"t": round(now, 6), "event": type(event).__name__, **asdict(event)}


def read_event(data: Line) -> tuple[float, Event]:
    """Read what `line` wrote.

    Raises:
        ValueError: it is no event.

    """
    try:
        kind = _EVENTS[data["event"]]
        values: dict[str, Any] = {field.name: _tuples(data[field.name]) for field in fields(kind)}
        return float(data["t"]), kind(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no event: {data!r}") from error


def replayed(lines: Iterable[Line]) -> tuple[Line, Scheduler, float]:
    """Rebuild the run of a journal: its head, its scheduler, the time of the last event.

    Raises:
        ValueError: the first line is no head of this format, or another one no event, or none that
            can happen then.

    """
    rest = iter(lines)
    first = next(rest, None)
    if first is None or first.get("format") != FORMAT:
        raise ValueError("the journal has no head of this format")
    happened = [read_event(data) for data in rest]
    try:
        limits = first["limits"]
        capacity = ComputeResources(**limits["capacity"]) if limits["capacity"] else None
        units = [_unit(data) for data in first["units"]]
        scheduler = replay(units, RunLimits(**{**limits, "capacity": capacity}), happened)
    except (KeyError, TypeError, InvalidTransitionError) as error:
        raise ValueError(f"its lines do not go together: {error!r}") from error
    return first, scheduler, happened[-1][0] if happened else 0.0


def _unit(data: Line) -> Unit:
    needs, resources = tuple(data["needs"]), ComputeResources(**data["resources"])
    return Unit(**{**data, "needs": needs, "resources": resources})


def _tuples(value: object) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
