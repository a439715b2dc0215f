"""Files about the result of a run: JSON, JUnit, Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from dag.core.build.result import Result, UnitResult
from dag.core.build.states import SETTLED, UnitState
from dag.core.build.stuck import Stuck
from dag.report.words import count, plain, seconds


def to_json(result: Result) -> str:
    """Return everything that is known, as one JSON object."""
    return json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n"


def to_junit(result: Result) -> str:
    """Return a test suite: each package is a test case, and one that was not built is skipped.

    The format is the one that most readers agree on: https://github.com/testmoapp/junitxml
    """
    suite = ET.Element("testsuite", name=f"dag build {result.arch}")
    for unit in result.units:
        case = ET.SubElement(
            suite, "testcase", classname=result.arch, name=unit.name, file=unit.log
        )
        case.set("time", f"{unit.seconds or 0:.3f}")
        if unit.state == UnitState.FAILED.value:
            failure = ET.SubElement(case, "failure", message=plain(unit.cause))
            failure.text = plain("\n".join(unit.lines))
        elif unit.state != UnitState.DONE.value:
            ET.SubElement(case, "skipped", message=plain(why(unit)))
    for cycle in result.stuck:
        for name in cycle.packages:
            case = ET.SubElement(suite, "testcase", classname=result.arch, name=name, time="0")
            ET.SubElement(case, "failure", message=_in_cycle(cycle))
    for name, stuck in result.blocked.items():
        case = ET.SubElement(suite, "testcase", classname=result.arch, name=name, time="0")
        ET.SubElement(case, "skipped", message=_behind_cycle(stuck))
    for name, because in result.unbuildable.items():
        case = ET.SubElement(suite, "testcase", classname=result.arch, name=name, time="0")
        ET.SubElement(case, "skipped", message=plain(because))
    for skipped in result.skipped:
        case = ET.SubElement(suite, "testcase", classname=result.arch, name=skipped.name, time="0")
        ET.SubElement(case, "skipped", message=skipped.why)
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


def to_markdown(result: Result) -> str:
    """Return a page about the run for people."""
    return "\n".join(_markdown(result)) + "\n"


def _markdown(result: Result) -> Iterator[str]:
    yield f"## dag build, {result.arch}: {headline(result)}"
    failed = result.with_state(UnitState.FAILED)
    for unit in failed:
        yield ""
        yield f"### {unit.name} {unit.version} failed: {unit.cause}"
        if unit.lines:
            lines = [*map(plain, unit.lines)]
            fence = "`" * max(3, 1 + max(map(_backticks, lines)))
            yield fence
            yield from lines
            yield fence
        yield f"The whole log is `{unit.log}` in the store."
    if result.stuck:
        yield ""
        yield "### Cycles"
        for cycle in result.stuck:
            yield (
                f"- {count(len(cycle.packages), 'package')}: "
                + "; ".join(" → ".join((*way, way[0])) for way in cycle.cycles)
                + f"; a repository with {', '.join(cycle.bootstrap)} would open it"
            )
    yield ""
    yield "| package | version | result | time | why |"
    yield "|---|---|---|---|---|"
    for unit in result.units:
        because = f" ({unit.because})" if unit.because else ""
        text = unit.reason + because if unit.state == UnitState.DONE.value else why(unit)
        yield f"| {unit.name} | {unit.version} | {unit.state} | {seconds(unit.seconds)} | {_cell(text)} |"
    for name, stuck in result.blocked.items():
        yield f"| {name} | | blocked | – | {_behind_cycle(stuck)} |"
    for name, because in result.unbuildable.items():
        yield f"| {name} | | blocked | – | {_cell(because)} |"
    for skipped in result.skipped:
        yield f"| {skipped.name} | {skipped.version} | skipped | – | {skipped.why} |"
    if result.critical_path:
        yield ""
        yield f"Critical path: {' → '.join(result.critical_path)}"


def headline(result: Result) -> str:
    """Return in one line how a run ended."""
    numbers = [
        (len(result.with_state(UnitState.DONE)), "built"),
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


def why(unit: UnitResult) -> str:
    """Return why a unit was not built, or is not built yet."""
    return f"blocked by {unit.blocked_by}" if unit.blocked_by else unit.cause or unit.state


def _in_cycle(cycle: Stuck) -> str:
    return f"it is in a cycle of {count(len(cycle.packages), 'package')}"


def _behind_cycle(stuck: str) -> str:
    return f"it needs {stuck}, which is in a cycle"


def _backticks(line: str) -> int:
    return max((len(run) for run in line.split() if set(run) == {"`"}), default=0)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
