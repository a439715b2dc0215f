"""The Pods of one command, one an architecture, followed at once to one result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dag.core.kube.objects import KubeObject
from dag.core.pod.ending import Cause, Ending
from dag.core.pod.events import PodResult
from dag.core.pod.manifest import ARCH_LABEL
from dag.core.pod.states import WatchRules
from dag.errors import DagError, Interrupted
from dag.io.kube.api import Kube
from dag.report.terminal import Terminal
from dag.run.pod.follow import PodFollower
from dag.run.pod.out import OutTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOptions:
    """How the Pods of a command are followed."""

    pending_timeout: float
    """How many seconds nothing may run before a build starts."""
    out: Path | None = None
    """Where built packages are brought."""

    def target(self, arch: str, label: str) -> OutTarget | None:
        """Return the place of what one Pod has built."""
        return None if self.out is None else OutTarget(self.out, arch, label)

    def rules(self, target: OutTarget | None) -> WatchRules:
        """Return the rules for the watch of a Pod that builds."""
        return WatchRules(
            pending_timeout=self.pending_timeout,
            pending_flag="--pending-timeout",
            fetches=target is not None,
            saved_log=str(target.path("build.log")) if target is not None else "",
        )


class PodGroup:
    """The Pods of one command."""

    def __init__(
        self, manifests: Sequence[KubeObject], options: FollowOptions, terminal: Terminal
    ) -> None:
        self.manifests = manifests
        self._options = options
        self._terminal = terminal
        self._followers: list[PodFollower] = []

    def leftovers(self) -> str:
        """Return what whoever leaves now may leave behind, in words."""
        words = (follower.watch.leftover for follower in self._followers)
        return "; ".join(filter(None, words)) or "nothing is left behind"

    async def run(self, kube: Kube) -> list[PodResult]:
        """Run a Pod for each manifest; one that fails does not end the others.

        Raises:
            Interrupted: the task was cancelled; every Pod was asked to go.

        """
        tasks = [asyncio.ensure_future(self._run(kube, one)) for one in self.manifests]
        try:
            # Waits for all of them, also when it is cancelled: each cleans up after itself.
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            words = (str(one.exception()) for one in tasks if one.done() and not one.cancelled())
            raise Interrupted("; ".join(dict.fromkeys(words)) or "interrupted") from None
        results: list[PodResult] = []
        for result in ended:
            if isinstance(result, BaseException):
                raise result
            results.append(result)
        return results

    async def _run(self, kube: Kube, manifest: KubeObject) -> PodResult:
        arch = str(manifest["metadata"]["labels"][ARCH_LABEL])
        label = arch if len(self.manifests) > 1 else ""
        terminal, target = self._terminal.about(label), self._options.target(arch, label)
        follower = PodFollower(kube, manifest, self._options.rules(target), terminal, target=target)
        self._followers.append(follower)
        try:
            result = await follower.run()
        except Interrupted:
            raise
        except DagError as error:
            cause = Cause.MAKE if error.exit_code == 1 else Cause.START
            ending = Ending(cause, error.message, error.hint)
            return PodResult(name="", ending=ending, kept=False, label=label)
        return replace(result, label=label)


def exit_code_of(results: Sequence[PodResult]) -> int:
    """Return the exit code of several Pods: 1 if a build failed, else 3 if anything else did; 0 for none."""
    codes = {result.ending.exit_code for result in results}
    return 1 if 1 in codes else max(codes, default=0)
