"""Writes what an examination found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dag.core.doctor.checks import Finding, Status, exit_code
from dag.report.envelope import envelope
from dag.report.words import count


def lines(findings: Mapping[str, Finding]) -> Iterator[str]:
    """Yield a line for each check, and below it what mends it."""
    width = max(map(len, findings), default=0)
    for name, finding in findings.items():
        yield f"{finding.status.value:8} {name:{width}}  {finding.message}"
        if finding.fix and finding.status is not Status.OK:
            yield f"{'':8} {'':{width}}  mend: {finding.fix}"


def to_json(findings: Mapping[str, Finding]) -> str:
    """Return the same as one JSON object."""
    checks = [
        {
            "name": name,
            "status": finding.status.value,
            "message": finding.message,
            "fix": finding.fix,
        }
        for name, finding in findings.items()
    ]
    return envelope("checks", {"checks": checks}, exit_code=exit_code(findings.values()))


def headline(findings: Mapping[str, Finding]) -> str:
    """Return a line that says whether a build could work."""
    number = {status: sum(one.status is status for one in findings.values()) for status in Status}
    warnings, left_out = number[Status.WARNING], number[Status.SKIPPED]
    said = [count(warnings, "warning")] if warnings else []
    said += [f"{count(left_out, 'check')} not made"] if left_out else []
    rest = f" ({', '.join(said)})" if said else ""
    if number[Status.FAILED]:
        return f"a build would fail: {count(number[Status.FAILED], 'problem')}{rest}"
    return f"nothing is known that would stop a build{rest}"
