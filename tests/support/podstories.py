"""Pods as an API server shows them, and a watch that is told a story about one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from dag.core.pod.events import (
    Abort,
    Conclude,
    LogEnded,
    PodAction,
    PodCreated,
    PodEvent,
    PodEventSeen,
    PodResult,
    PodSeen,
    ReadLog,
    Tell,
    Ticked,
)
from dag.core.pod.invariants import validate
from dag.core.pod.states import WatchRules
from dag.core.pod.watch import PodWatch
from dag.errors import DagError, InfrastructureError

Json = dict[str, Any]
T = TypeVar("T")

RUNNING: Json = {"running": {}}
NOTHING: Json = {}
LIMIT = 300.0
NO_CONTACT = InfrastructureError("cannot connect")


def waiting(reason: str = "ContainerCreating", message: str = "") -> Json:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int = 0, *, reason: str = "", message: str = "") -> Json:
    one = {"exitCode": code, "containerID": "containerd://1", "reason": reason, "message": message}
    return {"terminated": one}


def pod(
    *,
    sidecar: Json | None = None,
    init: Json | None = None,
    populate: Json | None = None,
    build: Json | None = None,
    out: Json | None = None,
    upload: Json | None = None,
    uid: str = "one",
    **status: object,
) -> Json:
    """Return a Pod whose containers are in these states; a container that is None is not in the Pod."""
    steps = {
        "proxy": sidecar,
        "init": NOTHING if init is None else init,
        "populate-cache": populate,
    }
    work = {"build": NOTHING if build is None else build, "out": out, "upload": upload}
    status.setdefault("phase", "Pending")
    return {
        "metadata": {"name": "dag-x", "namespace": "n", "uid": uid, "labels": {"dag/run": "r"}},
        "spec": {
            "nodeName": "node-a",
            "initContainers": [
                {"name": name, **({"restartPolicy": "Always"} if name == "proxy" else {})}
                for name, state in steps.items()
                if state is not None
            ],
            "containers": [{"name": name} for name, state in work.items() if state is not None],
        },
        "status": {
            "initContainerStatuses": _statuses(steps),
            "containerStatuses": _statuses(work),
            **status,
        },
    }


def built(code: int = 0, **containers: Any) -> Json:
    """Return a Pod whose build has ended with this exit code."""
    return pod(init=ended(), build=ended(code), **containers)


def line(second: int, text: bytes) -> bytes:
    """Return a line of a log, as the API serves it."""
    return b"2026-01-01T00:00:0%d.000000000Z %b" % (second, text)


def _statuses(states: dict[str, Json | None]) -> list[Json]:
    return [
        {"name": name, "image": f"{name}:1", "state": state}
        for name, state in states.items()
        if state
    ]


def api_event(reason: str, message: str = "", *, uid: str = "e", time: int = 0) -> PodEventSeen:
    stamp = f"2026-01-01T00:00:{time:02}Z"
    about = {"metadata": {"uid": uid}, "reason": reason, "message": message, "lastTimestamp": stamp}
    return PodEventSeen(about)


class Story:
    """A watch whose invariants are checked after everything that it is told."""

    def __init__(self, rules: WatchRules | None = None, **changes: Any) -> None:
        given = {"pending_timeout": LIMIT, "pending_flag": "--pending-timeout", **changes}
        self.watch = PodWatch(rules or WatchRules(**given))
        self.now = 0.0
        self.actions: list[PodAction] = []

    def tell(self, *events: PodEvent, after: float = 0.0) -> list[PodAction]:
        """Let `after` seconds pass, and then tell the watch all of this at once."""
        if after:
            self.wait(after)
        return [action for event in events for action in self._handle(event)]

    def wait(self, seconds: float) -> list[PodAction]:
        """Let time pass, and tell the watch a tick whenever it wants one."""
        until, done = self.now + seconds, list[PodAction]()
        while self.watch.due() <= until:
            self.now = max(self.now, self.watch.due())
            done += self._handle(Ticked())
        self.now = until
        return done

    def _handle(self, event: PodEvent) -> list[PodAction]:
        done = self.watch.handle(event, self.now)
        validate(self.watch)
        self.actions += done
        return done

    def begin(self, first: Json | None = None) -> Story:
        self.tell(PodCreated(pod() if first is None else first))
        return self

    def see(self, *, after: float = 0.0, **containers: Any) -> list[PodAction]:
        return self.tell(PodSeen(pod(**containers)), after=after)

    @property
    def said(self) -> list[str]:
        """The messages of the watch since the Pod was created, without those that only -v shows."""
        return [one.text for one in self.of(Tell) if not one.detail][1:]

    @property
    def result(self) -> PodResult:
        (one,) = self.of(Conclude)
        assert not self.of(Abort)
        return one.result

    @property
    def error(self) -> DagError:
        (one,) = self.of(Abort)
        assert not self.of(Conclude)
        return one.error

    def stream(self, container: str) -> int:
        """Return the number of the newest stream of a log."""
        return [one.stream for one in self.of(ReadLog) if one.container == container][-1]

    def of(self, kind: type[T], among: Sequence[PodAction] | None = None) -> list[T]:
        actions = self.actions if among is None else among
        return [one for one in actions if isinstance(one, kind)]

    def finish_logs(self) -> None:
        """Let every log come to its end, by whatever stream it was asked for."""
        while self.watch.logs.are_open(self.watch.logs.readers):
            for name in list(self.watch.logs.readers):
                self.tell(LogEnded(name, self.stream(name)))
            self.wait(1)
