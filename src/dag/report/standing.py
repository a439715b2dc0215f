"""How a run in a cluster stands, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime

from dag.core.jobs.standing import Standing
from dag.report.envelope import envelope, framed
from dag.report.words import seconds


def standings_lines(standings: Sequence[Standing], now: float) -> Iterator[str]:
    """Yield how a run stands as lines, for each of its architectures; `now` is in seconds since 1970."""
    yield f"run {standings[0].run}"
    for one in standings:
        label = f"{one.arch}: " if len(standings) > 1 else ""
        yield from (f"{label}{line}" for line in _lines(one, now))


def _lines(standing: Standing, now: float) -> Iterator[str]:
    for one in standing.attempts:
        again = f", attempt {one.attempt}" if one.attempt > 1 else ""
        yield f"{one.state} {one.package}{_since(one.since, now)}{again}"
    if standing.driver:
        progress = f"; {standing.progress}" if standing.progress else ""
        detached = f"; `dag attach {standing.run}` follows it" if standing.job else ""
        yield f"running{progress}; {standing.driver} drives it{detached}"
    elif standing.ended:
        yield f"ended; `dag status --arch {standing.arch} {standing.run}` tells what came of it"
    else:
        yield "nobody drives it any more: `dag build` goes on with it, `dag cancel` ends it"


def standings_json(standings: Sequence[Standing]) -> str:
    """Return how a run stands as a JSON object, in which there is one for each of several architectures."""
    if len(standings) == 1:
        return envelope("jobs", _body(standings[0]), exit_code=_exit_code(standings[0]))
    each = [framed("jobs", _body(one), exit_code=_exit_code(one)) for one in standings]
    return envelope("all jobs", {"jobs": each}, exit_code=standings_exit_code(standings))


def standings_exit_code(standings: Sequence[Standing]) -> int:
    """Return the exit code of who asks: 3, as if it had ended for lack of a driver, if one has none."""
    return max(map(_exit_code, standings))


def _exit_code(standing: Standing) -> int:
    return 0 if standing.driver or standing.ended else 3


def _body(standing: Standing) -> dict[str, object]:
    return {**asdict(standing), "running": bool(standing.driver)}


def _since(time: str, now: float) -> str:
    """Return for how long something has been so; the clock of the cluster may be another one."""
    try:
        return f" for {seconds(max(0.0, now - datetime.fromisoformat(time).timestamp()))}"
    except ValueError:
        return ""
