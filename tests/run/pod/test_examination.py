"""Checks that depend on each other: what runs at once, what is skipped, and what an error becomes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dag.core.doctor.checks import Finding, Status, ok
from dag.errors import InfrastructureError, UsageError
from dag.run.pod.access import Unreadable
from dag.run.pod.examination import Check, examine


async def fine() -> Finding:
    return ok("fine")


async def failing() -> Finding:
    raise InfrastructureError("it\n  broke", hint="mend it")


async def test_what_needs_a_failed_check_is_skipped_and_names_the_first_cause() -> None:
    found = await examine(
        [
            Check("a", (), failing),
            Check("b", ("a",), fine),
            Check("c", ("b",), fine),
            Check("d", (), fine),
        ]
    )
    assert list(found) == ["a", "b", "c", "d"]
    assert found["a"] == Finding(Status.FAILED, "it broke", "mend it")
    assert found["b"] == found["c"] == Finding(Status.SKIPPED, "not checked: a comes first")
    assert found["d"].status is Status.OK


async def test_what_may_not_be_seen_is_no_failure_and_holds_nothing_up() -> None:
    async def hidden() -> Finding:
        raise Unreadable("not for you")

    found = await examine([Check("a", (), hidden), Check("b", ("a",), fine)])
    assert found["a"] == Finding(Status.WARNING, "not known: not for you")
    assert found["b"].status is Status.OK


async def test_a_wrong_request_is_told_from_a_broken_cluster() -> None:
    async def wrong() -> Finding:
        raise UsageError("no such package")

    async def unreadable() -> Finding:
        return ok(Path("/nowhere/at/all").read_text())

    checks = [Check("a", (), wrong), Check("b", (), failing), Check("c", (), unreadable)]
    found = await examine(checks)
    assert [one.usage for one in found.values()] == [True, False, False]
    assert found["c"].message == "/nowhere/at/all: No such file or directory"


async def test_checks_that_need_nothing_of_each_other_run_at_once() -> None:
    met = asyncio.Barrier(2)

    async def meet() -> Finding:
        await met.wait()
        return ok("met")

    async with asyncio.timeout(10):
        found = await examine([Check("a", (), meet), Check("b", (), meet)])
    assert {one.message for one in found.values()} == {"met"}
