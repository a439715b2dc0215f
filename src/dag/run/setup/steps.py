"""Carries out the steps of `dag setup`: look, do what is missing, look again, say.

Nothing is remembered between runs: what is there is the only state, so that a run that broke off
is gone on with by running it again.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from dag.core.setup.steps import (
    Connect,
    Ensure,
    Extend,
    ProveByPod,
    Publish,
    Run,
    Says,
    SetupPlan,
    SetupStep,
    Tolerate,
)
from dag.errors import DagError, InfrastructureError, Interrupted
from dag.io import programs
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.kubeconfig import connect
from dag.report.terminal import Terminal
from dag.run.setup.objects import ABSENT, FOREIGN, THERE, Objects

_SETTLING = 10.0
"""Seconds for what a command has done to be seen."""
# Accounts and APIs that were just made are not known everywhere at once.
_NOT_YET = re.compile(r"[Ss]ervice account\b.*does not exist|has not been used")
_PAUSE = 2.0
"""Seconds between two looks through gcloud, each of which takes about one itself."""


class Setup:
    """One run over a plan."""

    def __init__(self, plan: SetupPlan, terminal: Terminal) -> None:
        self._plan = plan
        self._terminal = terminal
        self._env = {"KUBECONFIG": plan.kubeconfig} if plan.kubeconfig else {}
        self._connected: Kube | None = None

    async def do(self) -> None:
        """Take every step that is not done.

        Raises:
            DagError: a step failed; those before it stay.
            Interrupted: the task was cancelled.

        """
        self._require_programs()
        total = len(self._plan.steps)
        async with self._closing():
            for number, step in enumerate(self._plan.steps, start=1):
                try:
                    outcome = await self._do(step)
                except asyncio.CancelledError:
                    raise Interrupted(
                        f"interrupted: {step.title}", hint="run it again to go on from there"
                    ) from None
                self._terminal.say(f"{number}/{total} {step.title} ({outcome})")

    async def undo(self) -> None:
        """Take away what `dag` has made, last things first.

        Raises:
            InfrastructureError: something could not be taken away; all the rest was.

        """
        self._require_programs()
        failed = []
        async with self._closing():
            reachable = await self._reconnect()
            if reachable:
                self._objects()  # without a configuration nothing in the cluster can be undone
            for step in reversed(self._plan.steps):
                if isinstance(step, Connect) or not (reachable or isinstance(step, Run)):
                    continue
                try:
                    outcome = await self._undo(step)
                except DagError as error:
                    if isinstance(error, ApiError) and error.status in (0, 401):
                        raise  # nobody answers, or not to us: the others would end the same
                    failed.append(step.title)
                    outcome = f"failed: {error.message}"
                if outcome:
                    self._terminal.say(f"{step.title} ({outcome})")
        if failed:
            raise InfrastructureError(
                f"not undone: {'; '.join(failed)}", hint="run it again when the cause is mended"
            )

    def _require_programs(self) -> None:
        steps = (step for step in self._plan.steps if isinstance(step, Run | Connect))
        programs.require(list(dict.fromkeys(step.argv[0] for step in steps)))

    @asynccontextmanager
    async def _closing(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if self._connected is not None:
                await self._connected.close()

    def _objects(self) -> Objects:
        # Not before it is needed: a step may have to make the credentials.
        if self._connected is None:
            cluster = connect(self._plan.kubeconfig, self._plan.context)
            self._connected = Kube(cluster, self._terminal.say)
        return Objects(self._connected, self._tell)

    async def _do(self, step: SetupStep) -> str:
        match step:
            case Run():
                return await self._run(step)
            case Connect():
                await self._execute(step.title, step.argv)
                return "done"
            case Ensure() | Extend() | Tolerate() | Publish() | ProveByPod():
                return await self._objects().do(step)

    async def _undo(self, step: SetupStep) -> str:
        match step:
            case Run():
                return await self._undo_run(step)
            case Connect():
                return ""
            case Ensure() | Extend() | Tolerate() | Publish() | ProveByPod():
                return await self._objects().undo(step)

    async def _run(self, step: Run) -> str:
        if step.done and await self._says(step.done):
            return THERE
        await self._execute(step.title, step.argv, step.stdin, step.patience)
        if step.done and not await self._comes_true(step.done):
            question = shlex.join(step.done.argv)
            raise InfrastructureError(
                f"{step.title}: the command succeeded, but it is not done",
                hint=f"`{question}` does not print {step.done.line!r}",
            )
        return "done"

    async def _undo_run(self, step: Run) -> str:
        if not step.undo:
            return ""
        if step.done and not await self._says(step.done, strict=True):
            return ABSENT
        if step.ours and not await self._says(step.ours, strict=True):
            return FOREIGN
        await self._execute(step.title, step.undo)
        return "removed"

    async def _says(self, question: Says, *, strict: bool = False) -> bool:
        answer = await programs.ask(question.argv, self._env)
        if strict and answer.is_unsure:
            raise InfrastructureError(f"`{shlex.join(question.argv)}`: {answer.failure}")
        return question.line in answer.lines

    async def _comes_true(self, question: Says) -> bool:
        deadline = time.monotonic() + _SETTLING
        while not await self._says(question):
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
            if not _NOT_YET.search(failure) or time.monotonic() > deadline:
                raise InfrastructureError(
                    f"{title}: {argv[0]} failed: {failure}",
                    hint="run it again when that is mended; what is done is passed over",
                )
            self._terminal.say("what it names may not be known everywhere yet, trying again")
            await asyncio.sleep(_PAUSE)

    def _tell(self, line: str) -> None:
        if line:
            self._terminal.say(f"    {line}")

    async def _reconnect(self) -> bool:
        """Get credentials for undoing; False if the cluster, and all in it, is gone."""
        for step in self._plan.steps:
            if isinstance(step, Connect):
                if not await self._says(step.there, strict=True):
                    self._terminal.say("the cluster is gone, and with it what was in it")
                    return False
                await self._execute(step.title, step.argv)
        return True
