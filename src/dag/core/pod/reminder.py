"""What is said of a pod of which nobody has heard anything for a minute: what runs, for how long."""

from __future__ import annotations

from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import OURS, OUT
from dag.core.pod.status import containers, is_running

EVERY = 60.0
"""Seconds of silence, after which something is said."""


class Reminder:
    """The silence of one pod. Times are seconds of one clock."""

    def __init__(self, now: float) -> None:
        self._heard = now
        self._began = now
        self._since: dict[str, float] = {}
        """When each container that runs was first seen to do so."""

    @property
    def due(self) -> float:
        """When something is to be said, if nothing else is heard until then."""
        return self._heard + EVERY

    def hear(self, now: float) -> None:
        """Take note that a line of a log was printed, or something was said."""
        self._heard = now

    def see(self, pod: KubeView, now: float) -> None:
        """Take note of what runs in the pod."""
        running = [
            name
            for name, container in containers(pod).items()
            if name in OURS and name != OUT and is_running(container)
        ]
        self._since = {name: self._since.get(name, now) for name in running}

    def remind(self, now: float) -> str | None:
        """Return what is to be said now, or None if it is too early."""
        if now < self.due:
            return None
        self._heard = now
        told = [
            f"container {name} has run for {_minutes(now - t)}" for name, t in self._since.items()
        ]
        return "; ".join(told) or f"nothing has run in the pod for {_minutes(now - self._began)}"


def _minutes(seconds: float) -> str:
    minutes = int(seconds) // 60
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
