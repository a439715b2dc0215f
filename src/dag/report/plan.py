"""Reports of a plan, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from dag.core.build.bootstrap import Dropped, Holder
from dag.core.build.estimate import estimate
from dag.core.build.openings import Opening
from dag.core.build.plan import BuildPlan
from dag.core.build.resources import too_large_words
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlanSummary
from dag.core.build.twice import is_second, package_of
from dag.report.envelope import envelope, framed
from dag.report.words import by_reason, count, seconds, some, stuck_lines


class LimitedPlan(Struct, frozen=True):
    """A plan, and what bounds its scheduler."""

    plan: BuildPlan
    limits: RunLimits
    about: PlanSummary
    """The plan's summary."""
    openings: Sequence[Opening] = ()
    """What opens its cycles."""


def plan_lines(planned: LimitedPlan) -> Iterator[str]:
    """Yield the units by level with their reasons, the critical path, and the expected time."""
    plan, limits = planned.plan, planned.limits
    expected = estimate(plan.units, limits)
    steps = {step.package.name: step for step in plan.steps}
    for number, names in enumerate(expected.levels):
        yield f"level {number}: {count(len(names), 'package')}"
        for name in names:
            step = steps[package_of(name)]
            because = f" ({step.because})" if step.because else ""
            reason = (
                "built again, to compare" if is_second(name) else f"{step.reason.value}{because}"
            )
            yield f"  {step.package.name} {step.package.full_version}: {reason}"
    for one in plan.skipped:
        yield f"skipped {one.package.name} {one.package.full_version}: {one.absence.value}"
    yield from map(_opening_line, planned.openings)
    for cycle in plan.stuck:
        yield f"a cycle of {count(len(cycle.packages), 'package')}: {', '.join(cycle.packages)}"
        yield from stuck_lines(cycle, "  ")
    for name, stuck in plan.blocked.items():
        yield f"blocked {name}: it needs {stuck}, which is in a cycle"
    for name, because in plan.unbuildable.items():
        yield f"blocked {name}: {because}"
    for why, those in by_reason(plan.open).items():
        yield f"open, melange chooses from repositories itself: {some(those, 10)}; {why}"
    if plan.steps:
        yield f"critical path: {' → '.join(expected.path)} ({seconds(expected.path_seconds)})"
        yield (
            f"expected: {seconds(expected.makespan)} with {count(limits.jobs, 'job')}, "
            f"{seconds(expected.work)} of work"
        )
        yield from _guess_line(len(plan.steps) - plan.timed, plan.timed)


def _guess_line(guessed: int, timed: int) -> Iterator[str]:
    if not timed:
        yield "nothing of this was ever built here, so the time is a guess"
    elif guessed:
        yield f"{count(guessed, 'package')} never built here, so the time is partly a guess"


def _opening_line(opening: Opening) -> str:
    holder = "a repository" if opening.holder is Holder.REPOSITORY else "the store"
    return f"cycle opened: {holder} has {opening.name}; {opening.need}"


def opened_lines(dropped: Sequence[Dropped], *, verbose: int) -> Iterator[str]:
    """Yield lines about cycles that are opened by packages of a repository or of the store."""
    told = [f"{one.package} is built with the {one.holder.value}'s {one.name}" for one in dropped]
    if verbose:
        yield from (f"{words}: a cycle" for words in told)
    elif told:
        more = "; and so on" if len(told) > 1 else ""
        number = count(len(told), "need")
        yield f"cycles are opened at {number}: {told[0]}{more}; -v names all, --dry-run says why"


def too_large_lines(plan: BuildPlan, limits: RunLimits) -> Iterator[str]:
    """Yield a line about units that ask for more than this machine has."""
    asked = {one.package.name: one.unit.resources for one in plan.steps}
    if limits.capacity and (words := too_large_words(asked, limits.capacity)):
        yield words


SAME_VERSION_HINT = "raise package.epoch, so that whoever has the old package gets the new one"


def same_version_words(plan: BuildPlan) -> str:
    """Return, in words, which definitions have changed without a new version."""
    names = plan.same_version
    return (
        f"{count(len(names), 'definition')} changed since the package was built, under the same"
        f" version: {some(names)}"
    )


def plan_json(planned: LimitedPlan, *, exit_code: int) -> str:
    """Return what `plan_lines` tells as one JSON object."""
    return envelope("plan", _body(planned), exit_code=exit_code)


def plans_json(each: Iterable[LimitedPlan], *, exit_code: int) -> str:
    """Return the plans for several architectures as one JSON object, in which each is one."""
    plans = [framed("plan", _body(one), exit_code=exit_code) for one in each]
    return envelope("plans", {"plans": plans}, exit_code=exit_code)


def _body(planned: LimitedPlan) -> dict[str, object]:
    plan, limits, about, openings = planned.plan, planned.limits, planned.about, planned.openings
    expected = estimate(plan.units, limits)
    return {
        **msgspec.to_builtins(about),
        "skipped": [msgspec.structs.asdict(one) for one in about.skipped],
        "dropped": [msgspec.structs.asdict(one) for one in about.dropped],
        "opened": msgspec.to_builtins(openings),
        "packages": {
            name: msgspec.structs.asdict(planned) for name, planned in about.packages.items()
        },
        "levels": expected.levels,
        "critical_path": expected.path,
        "critical_path_seconds": expected.path_seconds,
        "work_seconds": expected.work,
        "expected_seconds": expected.makespan,
        "jobs": limits.jobs,
        "external": plan.external,
        "open": plan.open,
        "same_version": plan.same_version,
    }
