"""Makes checks that build on each other, and makes those at once that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dag.core.doctor.checks import Finding, Status, skipped
from dag.errors import DagError
from dag.run.pod.access import Unreadable


@dataclass(frozen=True, slots=True)
class Check:
    """A question, the checks that must have gone well before it, and what answers it."""

    name: str
    needs: Sequence[str]
    look: Callable[[], Awaitable[Finding]]


async def examine(checks: Sequence[Check]) -> dict[str, Finding]:
    """Make all checks; return their findings in the order given. One that needs a failed one is skipped.

    A check that raises a `DagError` or an `OSError` has failed by it.
    """
    tasks: dict[str, asyncio.Task[Finding]] = {}

    async def answer(check: Check) -> Finding:
        for need in check.needs:
            before = await tasks[need]
            if before.status is Status.FAILED:
                return skipped(f"{need} comes first")
            if before.status is Status.SKIPPED:
                return before
        try:
            return await check.look()
        except Unreadable as error:
            return Finding(Status.WARNING, f"not known: {error.message}", error.hint)
        except DagError as error:
            return Finding.of(error)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return Finding(Status.FAILED, f"{where}{error.strerror or error}")

    async with asyncio.TaskGroup() as group:
        for check in checks:
            tasks[check.name] = group.create_task(answer(check))
    return {name: task.result() for name, task in tasks.items()}
