"""Files about the result of a run: JSON, JUnit, Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from dag.core.build.result import Result, UnitResult
from dag.core.build.states import SETTLED, THERE, UnitState
from dag.core.build.stuck import Stuck
from dag.core.visible import visible, visible_json, visible_line
from dag.report.words import count, seconds

_MARKUP = re.compile(r"[\\`*_\[\]|~]")
"""What Markdown may take for markup within a line, beside HTML.
https://spec.commonmark.org/0.31.2/#backslash-escapes"""
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def to_json(result: Result) -> str:
    """Return everything that is known, as one JSON object."""
    return visible_json(result.to_json(), indent=2) + "\n"


def to_junit(result: Result) -> str:
    """Return a test suite: each package is a test case, and one that was not built is skipped.

    The format is the one that most readers agree on: https://github.com/testmoapp/junitxml
    """
    suite = ET.Element("testsuite", name=f"dag build {result.arch}")
    for unit in result.units:
        case = _case(suite, result, unit.name, file=visible(unit.log))
        case.set("time", f"{unit.seconds or 0:.3f}")
        if unit.state == UnitState.FAILED.value:
            failure = ET.SubElement(case, "failure", message=visible(unit.cause))
            failure.text = "\n".join(map(visible, unit.lines))
        elif UnitState(unit.state) not in THERE:
            ET.SubElement(case, "skipped", message=visible(why(unit)))
    for cycle in result.stuck:
        for name in cycle.packages:
            ET.SubElement(_case(suite, result, name), "failure", message=_in_cycle(cycle))
    skips = [
        *((name, _behind_cycle(stuck)) for name, stuck in result.blocked.items()),
        *result.unbuildable.items(),
        *((skipped.name, skipped.why) for skipped in result.skipped),
    ]
    for name, because in skips:
        ET.SubElement(_case(suite, result, name), "skipped", message=visible(because))
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("errors", "0")
    suite.set("time", f"{result.seconds:.3f}")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, result: Result, name: str, **more: str) -> ET.Element:
    attributes = {"classname": result.arch, "name": visible(name), **more, "time": "0"}
    return ET.SubElement(suite, "testcase", attributes)


def to_markdown(result: Result) -> str:
    """Return a page about the run for people."""
    return "\n".join(_markdown(result)) + "\n"


def _markdown(result: Result) -> Iterator[str]:
    yield f"## dag build, {result.arch}: {_words(headline(result))}"
    failed = result.with_state(UnitState.FAILED)
    for unit in failed:
        yield ""
        yield f"### {_words(f'{unit.name} {unit.version} failed: {unit.cause}')}"
        if unit.lines:
            lines = [visible_line(line) for line in unit.lines]
            fence = "`" * max(3, 1 + max(map(_backticks, lines)))
            yield fence
            yield from lines
            yield fence
        yield f"The whole log is `{visible_line(unit.log)}` in the store."
    if result.stuck:
        yield ""
        yield "### Cycles"
        for cycle in result.stuck:
            ways = "; ".join(" → ".join((*way, way[0])) for way in cycle.cycles)
            opens = f"a repository with {', '.join(cycle.bootstrap)} would open it"
            yield f"- {count(len(cycle.packages), 'package')}: {_words(f'{ways}; {opens}')}"
    yield ""
    yield "| package | version | result | time | why |"
    yield "|---|---|---|---|---|"
    for unit in result.units:
        text = _reason(unit) if UnitState(unit.state) in THERE else why(unit)
        yield _row(unit.name, unit.version, unit.state, seconds(unit.seconds), text)
    for name, stuck in result.blocked.items():
        yield _row(name, "", "blocked", "–", _behind_cycle(stuck))
    for name, because in result.unbuildable.items():
        yield _row(name, "", "blocked", "–", because)
    for skipped in result.skipped:
        yield _row(skipped.name, skipped.version, "skipped", "–", skipped.why)
    if result.critical_path:
        yield ""
        yield f"Critical path: {_words(' → '.join(result.critical_path))}"


def headline(result: Result) -> str:
    """Return in one line how a run ended."""
    numbers = [
        (len(result.with_state(UnitState.DONE)), "built"),
        (len(result.with_state(UnitState.UNCHANGED)), "unchanged"),
        (len(result.skipped), "skipped"),
        (len(result.with_state(UnitState.FAILED)), "failed"),
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
    said = ", ".join(f"{number} {what}" for number, what in numbers if number)
    stopped = f"; stopped: {result.stopped}" if result.stopped else ""
    return f"{said or 'nothing to build'} in {seconds(result.seconds)}{stopped}"


def _reason(unit: UnitResult) -> str:
    because = f" ({unit.because})" if unit.because else ""
    if unit.results > 1:
        because += f"; not reproducible: the same inputs gave {unit.results} different results"
    return unit.reason + because


def why(unit: UnitResult) -> str:
    """Return why a unit was not built, or is not built yet."""
    return f"blocked by {unit.blocked_by}" if unit.blocked_by else unit.cause or unit.state


def _in_cycle(cycle: Stuck) -> str:
    return f"it is in a cycle of {count(len(cycle.packages), 'package')}"


def _behind_cycle(stuck: str) -> str:
    return f"it needs {stuck}, which is in a cycle"


def _backticks(line: str) -> int:
    return max((len(run) for run in line.split() if set(run) == {"`"}), default=0)


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(_words, cells))} |"


def _words(text: str) -> str:
    """Return a text as words of a line of Markdown, in which nothing is markup."""
    return _MARKUP.sub(r"\\\g<0>", visible_line(text)).translate(_HTML)
