"""How a run in a cluster stands, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from dag.core.jobs.standing import Standing
from dag.report.words import seconds


def standing_lines(standing: Standing, now: float) -> Iterator[str]:
    """Yield how a run stands as lines; `now` is in seconds since 1970."""
    yield f"run {standing.run}"
    for one in standing.attempts:
        again = f", attempt {one.attempt}" if one.attempt > 1 else ""
        yield f"{one.state} {one.package}{_since(one.since, now)}{again}"
    if standing.driver:
        progress = f"; {standing.progress}" if standing.progress else ""
        yield f"running{progress}; {standing.driver} drives it"
    else:
        yield "nobody drives it any more: `dag build` goes on with it, `dag cancel` ends it"


def standing_json(standing: Standing) -> dict[str, object]:
    """Return how a run stands as the body of a JSON object."""
    return {**asdict(standing), "running": bool(standing.driver)}


def _since(time: str, now: float) -> str:
    """Return for how long something has been so; the clock of the cluster may be another one."""
    try:
        return f" for {seconds(max(0.0, now - datetime.fromisoformat(time).timestamp()))}"
    except ValueError:
        return ""
