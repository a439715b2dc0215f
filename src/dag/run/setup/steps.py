"""Take the steps of `dag setup`: look, do what is missing, look again, and report.

Nothing is remembered between runs. What exists is the only state, so a set-up that was interrupted
continues when it is run again.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from dag.core.setup.steps import (
    Connect,
    Forbid,
    LineCheck,
    Look,
    Removal,
    RunProgram,
    SetupPlan,
    SetupStep,
)
from dag.errors import DagError, InfrastructureError, Interrupted
from dag.io import programs
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.kubeconfig import connect
from dag.report.terminal import Terminal
from dag.run.setup.objects import ABSENT, FOREIGN, THERE, ClusterObjects

_SETTLING = 10.0
"""Seconds in which what a command has done must become visible."""
_UNSEEN = "what cannot be looked at is not deleted: run it again when the cause is removed"
_PAUSE = 2.0
"""Seconds between two questions to gcloud, which takes about one second itself."""


class Setup:
    """One run of a plan."""

    def __init__(self, plan: SetupPlan, terminal: Terminal) -> None:
        self._plan = plan
        self._terminal = terminal
        self._env = {"KUBECONFIG": plan.kubeconfig} if plan.kubeconfig else {}
        self._connected: Kube | None = None
        self._told_cluster = False

    async def do(self) -> None:
        """Take every step that is not done already.

        Raises:
            DagError: a step failed. What the steps before it did stays.
            Interrupted: the task was cancelled.

        """
        self._require_programs()
        total = len(self._plan.steps)
        async with self._close_at_end():
            for number, step in enumerate(self._plan.steps, start=1):
                try:
                    outcome = await self._do(step)
                except asyncio.CancelledError:
                    raise Interrupted(
                        f"interrupted: {step.title}", hint="run it again to continue from there"
                    ) from None
                self._terminal.say(f"{number}/{total} {step.title} ({outcome})")

    async def look(self) -> list[Removal]:
        """Return what `dag` has made of the plan, the last things first; nothing is changed.

        Raises:
            DagError: something cannot be looked at, so nobody knows whose it is.

        """
        self._require_programs()
        removals: list[Removal] = []
        async with self._close_at_end():
            reachable = await self._reconnect()
            for step in reversed(self._plan.steps):
                if isinstance(step, Connect) or not (reachable or isinstance(step, RunProgram)):
                    continue
                try:
                    look = await self._look(step)
                except ApiError as error:
                    error.hint = error.hint or _UNSEEN
                    raise
                removals += look.removals
                if look.outcome:
                    self._terminal.say(f"{step.title} ({look.outcome})")
        return removals

    async def remove(self, removals: Sequence[Removal]) -> None:
        """Remove what a look has found.

        Raises:
            InfrastructureError: something could not be removed. The rest was removed.

        """
        failed = []
        async with self._close_at_end():
            for removal in removals:
                try:
                    outcome = await self._remove(removal)
                except DagError as error:
                    if isinstance(error, ApiError) and error.status in (0, 401):
                        raise  # nobody answers us, and the other steps would fail in the same way
                    failed.append(removal.step.title)
                    outcome = f"failed: {error.message}"
                self._terminal.say(f"{removal.step.title} ({outcome})")
        if failed:
            raise InfrastructureError(
                f"these steps were not undone: {'; '.join(dict.fromkeys(failed))}",
                hint="run it again when the cause is removed",
            )

    def _require_programs(self) -> None:
        steps = (step for step in self._plan.steps if isinstance(step, RunProgram | Connect))
        programs.require(list(dict.fromkeys(step.argv[0] for step in steps)))

    @asynccontextmanager
    async def _close_at_end(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if self._connected is not None:
                await self._connected.close()
                self._connected = None

    def _objects(self) -> ClusterObjects:
        # This waits until it is needed, because a step may have to make the credentials.
        if self._connected is None:
            cluster = connect(self._plan.kubeconfig, self._plan.context)
            self._connected = Kube(cluster, self._terminal.say)
            if not self._told_cluster:
                context = f"context {self._plan.context}, " if self._plan.context else ""
                self._terminal.say(f"the cluster is {context}{cluster.server}")
                self._told_cluster = True
        return ClusterObjects(self._connected, self._tell)

    async def _do(self, step: SetupStep) -> str:
        match step:
            case RunProgram():
                return await self._run(step)
            case Connect():
                await self._execute(step.title, step.argv)
                return "done"
            case _:
                return await self._objects().do(step)

    async def _look(self, step: SetupStep) -> Look:
        match step:
            case RunProgram(undo=()) | Connect() | Forbid():
                return Look()
            case RunProgram():
                if outcome := await self._look_at_run(step):
                    return Look(outcome=outcome)
                what = f"what `{shlex.join(step.undo)}` removes"
                return Look(removals=[Removal(what=what, step=step)])
            case _:
                return await self._objects().look(step)

    async def _remove(self, removal: Removal) -> str:
        if not isinstance(removal.step, RunProgram):
            return await self._objects().remove(removal)
        if outcome := await self._look_at_run(removal.step):
            return outcome
        await self._execute(removal.step.title, removal.step.undo)
        return "removed"

    async def _run(self, step: RunProgram) -> str:
        if step.done and await self._is_true(step.done):
            return THERE
        await self._execute(step.title, step.argv, step.stdin, step.patience)
        if step.done and not await self._becomes_true(step.done):
            question = shlex.join(step.done.argv)
            raise InfrastructureError(
                f"{step.title}: the command succeeded, but had no effect",
                hint=f"`{question}` does not print {step.done.line!r}",
            )
        return "done"

    async def _look_at_run(self, step: RunProgram) -> str:
        """Return why undoing a step has nothing to remove, or nothing if it has."""
        if step.done and not await self._is_true(step.done, strict=True):
            return ABSENT
        if step.ours and not await self._is_true(step.ours, strict=True):
            return FOREIGN
        return ""

    async def _is_true(self, question: LineCheck, *, strict: bool = False) -> bool:
        answer = await programs.ask(question.argv, self._env)
        if strict and answer.is_unsure:
            raise InfrastructureError(
                f"`{shlex.join(question.argv)}`: {answer.failure}", hint=_UNSEEN
            )
        return question.line in answer.lines

    async def _becomes_true(self, question: LineCheck) -> bool:
        deadline = time.monotonic() + _SETTLING
        while not await self._is_true(question):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_PAUSE)
        return True

    async def _execute(
        self, title: str, argv: Sequence[str], stdin: str = "", patience: float = 0.0
    ) -> None:
        deadline = time.monotonic() + patience
        while True:
            self._terminal.say(f"$ {shlex.join(argv)}")
            failure = await programs.run(argv, stdin, self._env, self._tell)
            if failure is None:
                return
            if not _may_come(failure) or time.monotonic() > deadline:
                raise InfrastructureError(
                    f'{argv[0]} failed at the step "{title}": {failure}',
                    hint="run it again when the cause is removed; it continues with this step",
                )
            self._terminal.say(
                "the cloud may not know everywhere yet what the command names: trying again"
            )
            await asyncio.sleep(_PAUSE)

    def _tell(self, line: str) -> None:
        if line:
            self._terminal.say(f"    {line}")

    async def _reconnect(self) -> bool:
        """Get the credentials for undoing; return False if the cluster and all in it is gone."""
        for step in self._plan.steps:
            if isinstance(step, Connect):
                if not await self._is_true(step.there, strict=True):
                    self._terminal.say("the cluster is gone, and with it what was in it")
                    return False
                await self._execute(step.title, step.argv)
        return True


def _may_come(failure: str) -> bool:
    """Return whether a command failed for want of an account or an API that was just made.

    Not every part of a cloud knows of it at once.
    """
    about = (line.partition("ervice account ")[2] for line in failure.split("\n"))
    return "has not been used" in failure or any("does not exist" in text for text in about)
