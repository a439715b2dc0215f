"""Decides how long a Pod is waited for of which nothing runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dag.core.kube.objects import KubeView
from dag.core.pod.ending import Cause, Ending
from dag.core.pod.states import WatchRules
from dag.core.pod.waiting import Waiting, event_time, how_far, why_waiting


@dataclass(frozen=True, slots=True)
class WaitLimit:
    """The time at which a Pod is given up, if nothing changes until then, and how it ends then."""

    due: float
    ending: Ending


class Patience:
    """The clocks of a Pod of which nothing runs, and the Events that explain it."""

    def __init__(self, rules: WatchRules) -> None:
        self._rules = rules
        self.idle_since: float | None = None
        self._hopeless_since: float | None = None
        self._events: dict[str, KubeView] = {}

    def note(self, event: KubeView) -> bool:
        """Remember an Event about the Pod; return whether it is the first that is seen of it."""
        uid = str(event["metadata"]["uid"])
        is_new = uid not in self._events
        self._events[uid] = event
        return is_new

    def forget(self) -> None:
        """Take note that something runs."""
        self.idle_since = self._hopeless_since = None

    def why_waiting(self, pod: KubeView, now: float) -> Waiting | None:
        """Return why nothing of `pod` runs at `now`, or None if nobody says."""
        if self.idle_since is None:
            self.idle_since = now
        waiting = why_waiting(pod, self.events())
        if waiting is None or not waiting.hopeless:
            self._hopeless_since = None
        elif self._hopeless_since is None:
            self._hopeless_since = now
        return waiting

    def limits(self, pod: KubeView, waiting: Waiting | None, what: str) -> Iterator[WaitLimit]:
        """Yield the times at which `what` of `pod` is given up because of what keeps it waiting."""
        rules = self._rules
        if self.idle_since is None:
            return
        known = waiting or self._progress(pod, what)
        ending = Ending(Cause.START, known.message, known.hint)
        if self._hopeless_since is not None:
            yield WaitLimit(self._hopeless_since + rules.hopeless_grace, ending)
        if waiting is not None and not self.is_pulling():
            yield WaitLimit(self.idle_since + rules.stalled_grace, ending)
        flag = f" ({rules.pending_flag})" if rules.pending_flag else ""
        late = f"nothing ran for {rules.pending_timeout:g} s{flag}: {known.message}"
        due = self.idle_since + rules.pending_timeout
        yield WaitLimit(due, Ending(Cause.PENDING, late, known.hint))

    def _progress(self, pod: KubeView, what: str) -> Waiting:
        known = how_far(pod, self.events()) if pod else None
        words = f"{what} has not started"
        return replace(known, message=f"{words}: {known.message}") if known else Waiting(words)

    def is_pulling(self) -> bool:
        """Return whether the newest thing that happened is that a node began to pull an image."""
        events = self.events()
        return bool(events) and events[-1].get("reason") == "Pulling"

    def events(self) -> list[KubeView]:
        """Return the Events about the Pod, oldest first."""
        return sorted(self._events.values(), key=event_time)
