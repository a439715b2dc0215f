"""Files about the result of a run: JSON, JUnit, Markdown."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from dag.core.build.plan import Absence
from dag.core.build.result import Result, UnitResult
from dag.core.build.states import SETTLED, THERE, UnitState
from dag.core.build.stuck import Stuck
from dag.core.package.directory import unusable_words
from dag.core.visible import visible_line
from dag.report.envelope import envelope, framed
from dag.report.markup import Suite, fenced, pages, plain, row, suites_to_xml
from dag.report.words import (
    count,
    dubious_words,
    impossible_words,
    opening_words,
    reason_words,
    ring,
    seconds,
)


class ShownPlaces(Struct, frozen=True, kw_only=True):
    """The store and the directory of the definitions, as seen from where the command runs."""

    store: str
    directory: str
    """It is empty if the definitions are not here; then they are named as in their own directory."""

    def log(self, unit: UnitResult) -> str:
        """Return the place of a unit's log."""
        return f"{self.store}/{unit.log}"

    def definition(self, unit: UnitResult) -> str:
        """Return the path of a unit's definition; empty if an older version built it."""
        return posixpath.join(self.directory, unit.file).removeprefix("./") if unit.file else ""


def to_json(result: Result, places: ShownPlaces, *, is_alive: bool = False) -> str:
    """Return everything that is known, as one JSON object; `is_alive` says if the run goes on."""
    code, body = _body(result, places, is_alive=is_alive)
    return envelope("result", body, exit_code=code)


def results_to_json(
    results: Iterable[tuple[Result, bool]], places: ShownPlaces, *, exit_code: int
) -> str:
    """Return the results for several architectures as one JSON object, in which each is one.

    Each comes with whether the run goes on for that architecture.
    """
    bodies = (_body(one, places, is_alive=is_alive) for one, is_alive in results)
    each = [framed("result", body, exit_code=code) for code, body in bodies]
    return envelope("results", {"results": each}, exit_code=exit_code)


def _body(result: Result, places: ShownPlaces, *, is_alive: bool) -> tuple[int, dict[str, object]]:
    """Return how a command ends with this result, and the result as an object."""
    body = {"running": is_alive, **result.to_json()}
    code = body.pop("exit_code")
    for unit, data in zip(result.units, body["units"], strict=True):
        data |= {"log": places.log(unit), "file": places.definition(unit)}
    return 0 if is_alive else code, body


def to_junit(results: Iterable[Result], places: ShownPlaces) -> str:
    """Return a test suite for each architecture: each package is a test case.

    One that was not built is skipped, unless it failed by itself: then the exit code is not 0.
    """
    return suites_to_xml([_suite(one, places) for one in results])


def _suite(result: Result, places: ShownPlaces) -> Suite:
    suite = Suite("dag build", result.arch, result.seconds)
    for unit in result.units:
        file, log = places.definition(unit), places.log(unit)
        case = suite.case(unit.name, seconds=unit.seconds, file=file, log=log)
        if unit.state == UnitState.FAILED.value:
            case.fail(unit.cause, unit.lines)
        elif unit.is_dubious:
            case.fail(dubious_words(unit))
        elif UnitState(unit.state) not in THERE:
            case.skip(why(unit))
    for cycle in result.stuck:
        for name in cycle.packages:
            suite.case(name).fail(_in_cycle(cycle))
    impossible = {one.name: impossible_words(one, result.arch) for one in result.impossible}
    for name, because in {**result.unbuildable, **impossible}.items():
        suite.case(name).fail(because)
    skips = [(name, _behind_cycle(stuck)) for name, stuck in result.blocked.items()]
    skips += [(one.name, one.why) for one in result.skipped if one.name not in impossible]
    for name, because in skips:
        suite.case(name).skip(because)
    return suite


def to_markdown(results: Iterable[Result], places: ShownPlaces) -> str:
    """Return a page about the run for people, with a part for each architecture.

    What is not there comes first, because a page that is too long is cut at its end.
    """
    return pages([[*_markdown(one, places)] for one in results])


def _markdown(result: Result, places: ShownPlaces) -> Iterator[str]:
    yield f"## dag build, {result.arch}: {plain(headline(result))}"
    failed = result.with_state(UnitState.FAILED)
    for unit in failed:
        yield ""
        yield f"### {plain(f'{unit.name} {unit.version} failed: {unit.cause}')}"
        if unit.lines:
            yield "\n".join(fenced(unit.lines))
        yield f"The whole log is `{visible_line(places.log(unit))}`."
    for unit in result.dubious:
        yield ""
        yield f"### {plain(f'{unit.name} {unit.version} is not reproducible')}"
        yield plain(dubious_words(unit))
    if result.stuck:
        yield ""
        yield "### Cycles"
        for cycle in result.stuck:
            said = "; ".join((*map(ring, cycle.cycles), opening_words(cycle)))
            yield f"- {count(len(cycle.packages), 'package')}: {plain(said)}"
    yield ""
    yield from _table(result)
    if result.critical_path:
        yield ""
        yield f"Critical path: {plain(' → '.join(result.critical_path))}"


def _table(result: Result) -> Iterator[str]:
    yield "| package | version | result | time | why |"
    yield "|---|---|---|---|---|"
    for unit in sorted(result.units, key=lambda one: UnitState(one.state) in THERE):
        text = reason_words(unit) if UnitState(unit.state) in THERE else why(unit)
        yield row(unit.name, unit.version, unit.state, seconds(unit.seconds), text)
    for name, stuck in result.blocked.items():
        yield row(name, "", "blocked", "–", _behind_cycle(stuck))
    for name, because in result.unbuildable.items():
        yield row(name, "", "blocked", "–", because)
    for skipped in result.skipped:
        yield row(skipped.name, skipped.version, "skipped", "–", skipped.why)


def headline(result: Result) -> str:
    """Return in one line how a run ended."""
    absent = Counter(one.why for one in result.skipped)
    stopped, foreign = absent[Absence.STOPPED.value], absent[Absence.OTHER_ARCH.value]
    numbers = [
        (len(result.with_state(UnitState.DONE)), "built"),
        (len(result.with_state(UnitState.UNCHANGED)), "unchanged"),
        (absent.total() - stopped - foreign, "there already"),
        (foreign, f"not for {result.arch}"),
        (stopped, "left out because of broken definitions"),
        (len(result.with_state(UnitState.FAILED)), "failed"),
        (len(result.dubious), "not reproducible"),
        (
            len(result.with_state(UnitState.BLOCKED))
            + len(result.blocked)
            + len(result.unbuildable),
            "blocked",
        ),
        (sum(len(cycle.packages) for cycle in result.stuck), "in cycles"),
        (len(result.with_state(UnitState.DROPPED)), "not built"),
        (sum(UnitState(unit.state) not in SETTLED for unit in result.units), "not finished"),
    ]
    said = ", ".join(f"{number:,} {what}" for number, what in numbers if number)
    early = f"; stopped: {result.stopped}" if result.stopped else ""
    broken = f"; {unusable_words(result.broken)}" if result.broken else ""
    return f"{said or 'nothing to build'} in {seconds(result.seconds)}{early}{broken}"


def why(unit: UnitResult) -> str:
    """Return why a unit was not built, or is not built yet."""
    return f"blocked by {unit.blocked_by}" if unit.blocked_by else unit.cause or unit.state


def _in_cycle(cycle: Stuck) -> str:
    return f"it is in a cycle of {count(len(cycle.packages), 'package')}"


def _behind_cycle(stuck: str) -> str:
    return f"it needs {stuck}, which is in a cycle"
