"""The page about a run: failures first, then how the time was spent, then every package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dag.core.build.result import Result, UnitResult
from dag.core.build.states import THERE, UnitState
from dag.core.build.timeline import Comparison, compare
from dag.core.units import size_words
from dag.report.files import headline, why
from dag.report.page.document import Child, Node, document, node
from dag.report.page.timeline import timeline
from dag.report.words import (
    count,
    dubious_words,
    impossible_words,
    opening_words,
    reason_words,
    ring,
    seconds,
    some,
)

_NAMED = 200
"""How many names a list has at most."""
_CHANGED = 10
"""How many packages are named that took longer than before, and how many that did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """What the page is about."""

    result: Result
    began: float
    """When the run began, in seconds since 1970."""
    written: float
    """When the page is written."""
    is_alive: bool
    store: str
    """The store, as seen from where the command runs."""
    logs: Mapping[str, str] = field(default_factory=dict)
    """The ends of the logs of units that failed."""
    before: Result | None = None
    """The run before this one."""


def run_page(page: RunPage) -> str:
    """Return the page as one file."""
    result = page.result
    compared = compare(result, page.before) if page.before else None
    title = f"dag build, {result.arch}: {headline(result)}"
    body = [
        node("a", "Skip to the packages", href="#units", class_="skip"),
        node("header", node("h1", title), *_head(page)),
        node(
            "main",
            *_failures(page),
            _critical(result),
            timeline(result),
            _comparison(result, page.before, compared),
            _units(page, compared),
            _skipped(result),
        ),
    ]
    return document(title, body, scripts=("run.js",))


def _head(page: RunPage) -> Iterator[Child]:
    result = page.result
    ends = page.began + result.seconds
    if page.is_alive:
        said = (
            f"The build was still running when this page was written, at {_moment(page.written)}. "
            "Load it again to see more."
        )
    elif not result.finished:
        said = f"The build ended before its work was done, at {_moment(ends)}."
    else:
        said = f"The build ended at {_moment(ends)}, with the exit code {result.exit_code}."
    yield node("p", said, class_="state")
    run = f"Run {result.run}, begun" if result.run else "Begun"
    yield node("p", f"{run} at {_moment(page.began)}, in the store {page.store}")


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _failures(page: RunPage) -> Iterator[Node]:
    result = page.result
    behind = Counter(unit.blocked_by for unit in result.units if unit.blocked_by)
    failed = [
        _failure(page, unit, behind[unit.name]) for unit in result.with_state(UnitState.FAILED)
    ]
    failed += [
        node(
            "article",
            node("h3", f"{unit.name} {unit.version} is not reproducible"),
            node("p", dubious_words(unit)),
        )
        for unit in result.dubious
    ]
    for cycle in result.stuck:
        title = f"A cycle of {count(len(cycle.packages), 'package')} cannot be built"
        said = "; ".join((*map(ring, cycle.cycles), opening_words(cycle)))
        failed.append(node("article", node("h3", title), node("p", said)))
    for name, because in result.unbuildable.items():
        failed.append(node("article", node("h3", f"{name} cannot be built"), node("p", because)))
    failed += [
        node("article", node("h3", impossible_words(one, result.arch))) for one in result.impossible
    ]
    if failed:
        yield node("section", node("h2", "What failed"), *failed, aria_label="What failed")


def _failure(page: RunPage, unit: UnitResult, behind: int) -> Node:
    log = page.logs.get(unit.name)
    return node(
        "article",
        node("h3", f"{unit.name} {unit.version}: {unit.cause}"),
        node("p", f"{count(behind, 'package')} blocked by it.") if behind else None,
        _preformatted("\n".join(unit.lines), f"Last words of {unit.name}") if unit.lines else None,
        node(
            "details",
            node("summary", f"The end of its log, {page.store}/{unit.log}"),
            _preformatted(log, f"Log of {unit.name}"),
        )
        if log
        else node("p", f"Its log is {page.store}/{unit.log}"),
        id=f"failed-{unit.name}",
        class_="failure",
    )


def _preformatted(text: str, label: str) -> Node:
    # What scrolls must be reachable by the keyboard.
    return node("pre", text, tabindex="0", role="region", aria_label=label)


def _critical(result: Result) -> Node | None:
    if not result.critical_path:
        return None
    took = {unit.name: unit.seconds for unit in result.units}
    steps = [
        node("li", node("b", name), f" {seconds(took.get(name))}") for name in result.critical_path
    ]
    total = sum(took.get(name) or 0.0 for name in result.critical_path)
    words = f"{seconds(total)} of {seconds(result.seconds)}: however many slots there are, the build takes no less."
    return node(
        "section",
        node("h2", "Critical path"),
        node("p", words),
        node("ol", *steps, class_="path"),
    )


def _comparison(result: Result, before: Result | None, found: Comparison | None) -> Node | None:
    if before is None or found is None:
        return None
    now = {unit.name: unit.seconds or 0.0 for unit in result.units}
    gained = {name: then - now[name] for name, then in found.seconds.items()}
    # As far as it can be seen: what takes 12s then and now has not changed.
    by_gain = sorted(
        (name for name in gained if seconds(found.seconds[name]) != seconds(now[name])),
        key=gained.__getitem__,
    )
    lines = (
        ("Failed now and not before", found.failed, _NAMED),
        ("Mended", found.mended, _NAMED),
        ("Slower", [_change(name, found, now) for name in by_gain if gained[name] < 0], _CHANGED),
        ("Faster", [_change(name, found, now) for name in by_gain[::-1] if gained[name] > 0], _CHANGED),
    )  # fmt: skip
    told = [
        node("li", f"{title} ({len(names)}): {some(names, most)}")
        for title, names, most in lines
        if names
    ]
    title = f"Beside the run before, {before.run or 'of an older version'}"
    words = f"That ended with: {headline(before)}."
    return node("section", node("h2", title), node("p", words), node("ul", *told) if told else None)


def _change(name: str, found: Comparison, now: Mapping[str, float]) -> str:
    return f"{name} {seconds(found.seconds[name])} → {seconds(now[name])}"


_COLUMNS = (
    *("package", "version", "result", "why", "time", "before"),
    *("CPUs", "CPUs used", "memory", "memory used", "attempts"),
)


def _units(page: RunPage, compared: Comparison | None) -> Node:
    result = page.result
    states = Counter(unit.state for unit in result.units)
    options = [node("option", f"all ({len(result.units):,})", value="")]
    options += [
        node("option", f"{state} ({number:,})", value=state) for state, number in states.items()
    ]
    head = (
        node("th", node("button", title, type="button"), scope="col", aria_sort="none")
        for title in _COLUMNS
    )
    critical = frozenset(result.critical_path)
    before = compared.seconds if compared else {}
    rows = (
        _row(unit, before.get(unit.name), is_critical=unit.name in critical)
        for unit in result.units
    )
    return node(
        "section",
        node("h2", "Packages"),
        node("p", "★ marks the critical path.") if critical else None,
        node(
            "form",
            node("label", "Search ", node("input", type="search", id="search", autocomplete="off")),
            node("label", "Result ", node("select", *options, id="state")),
            node("output", "", id="shown", for_="search state", role="status"),
            role="search",
        ),
        node(
            "div",
            node("table", node("thead", node("tr", *head)), node("tbody", *rows)),
            class_="wide",
            tabindex="0",
            role="region",
            aria_label="Packages",
        ),
        id="units",
    )


def _row(unit: UnitResult, before: float | None, *, is_critical: bool) -> Node:
    there = UnitState(unit.state) in THERE
    reason = reason_words(unit)
    cpus = unit.used.cpu_seconds / unit.seconds if unit.used and unit.seconds else None
    most = unit.used.ram if unit.used else None
    name: Child = unit.name
    if unit.state == UnitState.FAILED.value:
        name = node("a", unit.name, href=f"#failed-{unit.name}")
    cells = (
        node("th", name, " ★" if is_critical else "", scope="row"),
        node("td", unit.version),
        node("td", node("span", unit.state, class_=f"s {unit.state}")),
        node("td", reason if there else f"{why(unit)}; to be built: {reason}"),
        _number(unit.seconds, seconds(unit.seconds)),
        _number(before, seconds(before) if before is not None else ""),
        _number(unit.cpu, f"{unit.cpu / 1000:g}"),
        _number(cpus, f"{cpus:.2g}" if cpus is not None else ""),
        _number(unit.ram, size_words(unit.ram)),
        _number(most, "" if most is None else size_words(most)),
        _number(unit.attempts, str(unit.attempts)),
    )
    return node("tr", *cells, data_state=unit.state, id=f"unit-{unit.name}")


def _number(value: float | None, words: str) -> Node:
    return node("td", words, class_="n", data_value="" if value is None else f"{value:g}")


def _skipped(result: Result) -> Node | None:
    by_reason: dict[str, list[str]] = {}
    for one in result.skipped:
        by_reason.setdefault(one.why, []).append(f"{one.name} {one.version}")
    for name, stuck in result.blocked.items():
        by_reason.setdefault(f"blocked by a cycle of {stuck}", []).append(name)
    if not by_reason:
        return None
    lists = [
        node(
            "details",
            node("summary", f"{reason}: {count(len(names), 'package')}"),
            node("p", ", ".join(names)),
        )
        for reason, names in by_reason.items()
    ]
    return node("section", node("h2", "What was not to be built"), *lists)
