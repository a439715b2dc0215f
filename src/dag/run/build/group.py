"""The builds of one command, one an architecture: they share a screen, and may stop together."""

from __future__ import annotations

from collections.abc import Sequence

from dag.core.build.events import INTERRUPTED, Action, Event
from dag.report.screen import Screen
from dag.run.build.engine import Engine


class BuildGroup:
    """The builds of one command."""

    def __init__(self, *, is_several: bool = False) -> None:
        """Say whether there are several, so that each names its architecture."""
        self.screen = Screen(is_shared=is_several)
        self._members: list[GroupMember] = []
        self._stopped: str | None = None

    def join(self, engine: Engine, arch: str) -> GroupMember:
        """Return the observer of one more build, which stops all if that stops at a failure."""
        member = GroupMember(self, engine, arch)
        self._members.append(member)
        if self._stopped is not None:
            engine.stop(self._stopped)
        return member

    def stop_others(self, failed: GroupMember, cause: str) -> None:
        """Stop all builds but the one that has failed."""
        if self._stopped is None:
            self._stopped = f"{cause} for {failed.arch}"
            for one in self._members:
                if one is not failed:
                    one.engine.stop(self._stopped)


class GroupMember:
    """An observer of one build, which tells the group when --fail-fast has stopped it."""

    def __init__(self, group: BuildGroup, engine: Engine, arch: str) -> None:
        self._group = group
        self.engine = engine
        self.arch = arch

    def observe(self, event: Event, actions: Sequence[Action], now: float) -> None:
        """Look whether the build has stopped."""
        scheduler = self.engine.scheduler
        if scheduler.limits.fail_fast and scheduler.stopped not in (None, INTERRUPTED):
            self._group.stop_others(self, str(scheduler.stopped))

    def look_at_clock(self, now: float) -> None:
        """Do nothing: time stops no build."""
