"""The watch of one Pod: a pure state machine, `handle(event, now)` → actions.

`dag.core.pod.states` has its table. It knows nothing of streams, terminals or clocks; whoever runs
it turns what happens into events and executes the actions. One watch is of one Pod, and nothing in
it depends on how many there are or on who made it.
"""

from __future__ import annotations

import math
from typing import assert_never

from dag.core.kube.objects import KubeView
from dag.core.pod.ending import NEVER_BUILT, Cause, Ending, PodFacts
from dag.core.pod.events import (
    Abort,
    Conclude,
    DeletePod,
    DeletionAccepted,
    FindPod,
    InterruptRequested,
    LogBroke,
    LogEnded,
    LogRead,
    NewsResumed,
    NewsStopped,
    PackagesFetched,
    PodAction,
    PodAnswer,
    PodCreated,
    PodEvent,
    PodEventSeen,
    PodEventsHidden,
    PodGone,
    PodNews,
    PodNotCreated,
    PodResult,
    PodSeen,
    Tell,
    WakeAt,
    WatchFailed,
)
from dag.core.pod.handover import PackageHandover
from dag.core.pod.logs import PodLogs, log_patience
from dag.core.pod.manifest import OURS
from dag.core.pod.patience import Patience, WaitLimit
from dag.core.pod.reading import ContainerLog
from dag.core.pod.states import (
    INTERRUPTED_PATIENCE,
    LIVE,
    PATIENCE,
    WatchRules,
    WatchState,
    WatchTrigger,
    state_after,
)
from dag.core.pod.status import is_working, late_containers, words_on_strangers
from dag.errors import DagError, Interrupted

# A node may need this many seconds more than the Pod's own grace period to let it go.
_REMOVAL_GRACE = 30.0


class PodWatch:
    """The watch of one Pod. `handle` is the only way to change it."""

    def __init__(self, rules: WatchRules) -> None:
        """Begin with a Pod that is just being created; `PodCreated` says that it exists."""
        self.rules = rules
        self.state = WatchState.CREATING
        self.pod: KubeView = {}
        self.is_gone = False
        self.is_interrupted = False
        self.ending: Ending | None = None
        self.logs = PodLogs()
        self.handover = PackageHandover(wanted=rules.fetches)
        self.unstarted: dict[str, str] = {}
        """Why a container that has not started is not waited for any longer."""
        self.patience = Patience(rules)
        self.history: list[tuple[float, WatchTrigger]] = []
        self._created = 0.0
        self.has_news = True
        self._said = ""
        self._loss: str | None = None
        self._logs_until: float | None = None
        """Until when the logs may take in DRAINING; None if they are not awaited."""
        self._removed_until = math.inf
        self._is_deleted = False
        self._limits: list[WaitLimit] = []
        self._actions: list[PodAction] = []

    @property
    def name(self) -> str:
        """The Pod's name, or nothing as long as it has none."""
        return str(self.pod["metadata"]["name"]) if self.pod else ""

    @property
    def leftover(self) -> str:
        """Words for what a command that ends now may leave behind; empty if that is nothing."""
        if self.state in (WatchState.CREATING, WatchState.SEARCHING):
            return "a pod that was just being created may be there"
        if not self.pod or self.is_gone:
            return ""
        if self.state is WatchState.ENDED and self._is_deleted and not self.rules.awaits_removal:
            return ""
        return f"pod {self.name} may still be there"

    def handle(self, event: PodEvent, now: float) -> list[PodAction]:
        """Take one event at `now` seconds; return what has to be done about it, in that order."""
        if self.state is WatchState.ENDED:
            return []
        self._actions = []
        if isinstance(event, LogRead):  # of which there are many, and which change nothing else
            return list(self.logs.take_lines(event))
        self._take(event, now)
        self._actions += self.logs.reopen_due(self.pod, now, gone=self.is_gone)
        if self.state in LIVE:
            self._judge(now)
        if self.state is WatchState.DRAINING:
            self._drain(now)
        if self.state is WatchState.REMOVING:
            self._check_removed(now)
        if (due := self.due()) < math.inf:
            self._actions.append(WakeAt(due))
        return self._actions

    def due(self) -> float:
        """Return when time alone changes something next; infinity if it does not."""
        match self.state:
            case WatchState.REMOVING:
                return self._removed_until
            case WatchState.WAITING | WatchState.WORKING | WatchState.LATE:
                # By old news nothing is given up.
                limits = [one.due for one in self._limits] if self.has_news else []
                return min([*self.logs.dues(), *limits], default=math.inf)
            case WatchState.DRAINING if self._logs_until is not None:
                return min([*self.logs.dues(), self._logs_until])
            case _:
                return math.inf

    # ---- events -------------------------------------------------------------------------------

    def _take(self, event: PodEvent, now: float) -> None:
        if isinstance(event, PodAnswer):
            self._take_answer(event, now)
        elif isinstance(event, PodNews):
            self._take_news(event)
        elif isinstance(event, InterruptRequested):
            self._interrupt(now)
        elif isinstance(event, LogEnded | LogBroke):
            error = self.logs.take_end(event, now, gone=self.is_gone)
            if error is not None:
                self._fail(error, now)

    def _take_answer(self, event: PodAnswer, now: float) -> None:
        match event:
            case PodCreated(pod):
                self._take_creation(pod, now)
            case PodNotCreated():
                if self.state is WatchState.SEARCHING:
                    self._move(WatchTrigger.NOT_CREATED, now)
                    self._abort(Interrupted("interrupted; no pod is left behind"))
            case PackagesFetched():
                self.handover.take(event)
            case DeletionAccepted(existed):
                if self.state is WatchState.REMOVING:
                    self._is_deleted = True
                    self.is_gone = self.is_gone or not existed
                    self._removed_until = now + self._grace()
            case WatchFailed(error):
                self._fail(error, now)
            case _:
                assert_never(event)

    def _take_news(self, event: PodNews) -> None:
        match event:
            case PodSeen(pod):
                self._take_pod(pod, gone=False)
            case PodGone(pod):
                self._take_pod(pod, gone=True)
            case NewsStopped():
                self.has_news = False
            case NewsResumed():
                self.has_news = True
            case PodEventSeen(about):
                if self.patience.note(about) and about.get("reason") == "NodeNotReady":
                    node = self.pod["spec"].get("nodeName", "?") if self.pod else "?"
                    self._tell_once(f"node {node} does not answer; Kubernetes waits for it")
            case PodEventsHidden():
                words = "events cannot be read, so waiting is explained less well"
                self._actions.append(Tell(words, detail=True))
            case _:
                assert_never(event)

    def _take_creation(self, pod: KubeView, now: float) -> None:
        if self.state is WatchState.CREATING:
            self.pod, self._created, self.patience.idle_since = pod, now, now
            namespace = pod["metadata"]["namespace"]
            self._move(WatchTrigger.CREATED, now)
            if self.rules.tells_creation:
                self._actions.append(Tell(f"pod {self.name} created in namespace {namespace}"))
        elif self.state is WatchState.SEARCHING:
            self.pod, self._created = pod, now
            self._move(WatchTrigger.CREATED, now)
            self._remove_for_leaving(now)

    def _take_pod(self, pod: KubeView, *, gone: bool) -> None:
        # A pod of another uid is another pod, whatever its name; what is gone does not come back.
        if self.pod and not self.is_gone and pod["metadata"]["uid"] == self.pod["metadata"]["uid"]:
            self.pod, self.is_gone = pod, gone

    def _fail(self, error: DagError, now: float) -> None:
        before, left = self.state, f"{self.leftover}: {error.message}"
        self._move(WatchTrigger.FAILED, now)
        if self.is_interrupted:
            self._abort(Interrupted(f"interrupted; {left}"))
        elif before is WatchState.REMOVING:  # how the work ended weighs more
            self._actions.append(Tell(left))
            self._conclude(now)
        else:
            self._abort(error)

    def _interrupt(self, now: float) -> None:
        if self.is_interrupted:
            left = self.leftover
            self._move(WatchTrigger.LEFT, now)
            self._abort(Interrupted(f"left at once; {left}"))
            return
        self.is_interrupted = True
        before = self.state
        self._move(WatchTrigger.INTERRUPTED, now)
        if before is WatchState.CREATING:
            self._actions.append(FindPod(INTERRUPTED_PATIENCE))
        else:
            self._remove_for_leaving(now)

    # ---- while it lives -----------------------------------------------------------------------

    def _judge(self, now: float) -> None:
        if self.rules.reads_logs:
            self._actions += self.logs.open_started(self.pod, gone=self.is_gone)
        if not self.is_gone:
            self._actions += self.handover.begin(self.pod)
        facts = PodFacts(self.pod, deleted=self.is_gone, unstarted=self.unstarted)
        ending = self.rules.how_ended(facts)
        if ending is None and self.is_gone:
            ending = Ending(Cause.DELETED, "somebody deleted the pod")
        if ending is not None and (
            self.is_gone or not self.handover.is_coming(self.pod, ending, self.unstarted)
        ):
            self.ending = ending
            self._logs_until = now + log_patience(ending)
            self._move(WatchTrigger.FINISHED, now)
            return
        late = next((one for one in late_containers(self.pod) if one not in self.unstarted), None)
        self._move_by_status(late, now)
        overdue = self._find_overdue(late, now)
        if overdue is None or not self.has_news:
            return
        if late is not None and overdue.cause is not Cause.TIMEOUT:
            hint = f" ({overdue.hint})" if overdue.hint else ""
            self.unstarted[late] = overdue.message + hint
            self._judge(now)
        else:
            self.ending = overdue
            self._actions.append(Tell(f"giving up, deleting pod {self.name}"))
            self._move(WatchTrigger.GAVE_UP, now)
            self._remove(PATIENCE, now)

    def _move_by_status(self, late: str | None, now: float) -> None:
        if late is not None:
            after, trigger = WatchState.LATE, WatchTrigger.LAGGED
        elif is_working(self.pod, self.rules.main):
            after, trigger = WatchState.WORKING, WatchTrigger.STARTED
            self.patience.forget()
        else:
            after, trigger = WatchState.WAITING, WatchTrigger.STALLED
        if after is not self.state:
            self._move(trigger, now)

    def _find_overdue(self, late: str | None, now: float) -> Ending | None:
        """Say why nothing runs, and return how this ends if that has taken too long."""
        rules = self.rules
        self._limits = []
        if self.state is not WatchState.WORKING:
            waiting = self.patience.why_waiting(self.pod, now)
            if waiting is not None:
                self._tell_once(waiting.message)
            what = f"container {late}" if late else "the pod"
            self._limits += self.patience.limits(self.pod, waiting, what)
        ending = Ending(Cause.TIMEOUT, f"the pod did not end within {rules.timeout:g} s")
        self._limits.append(WaitLimit(self._created + rules.timeout, ending))
        return next((limit.ending for limit in self._limits if limit.due <= now), None)

    # ---- its end ------------------------------------------------------------------------------

    def _drain(self, now: float) -> None:
        if self._logs_until is not None:
            # What others have put into the Pod may never end.
            is_open = self.logs.are_open((*OURS, self.rules.main))
            if is_open and now < self._logs_until:
                return
            self._finish_logs(cut=is_open)
        ending = self.ending
        assert ending is not None  # noqa: S101  # `validate` has it
        if self.handover.is_awaited(ending):
            return
        error = self.handover.error(ending, self.unstarted)
        if ending.cause in NEVER_BUILT or not self.rules.keeps_pod:
            self._move(WatchTrigger.UNWANTED, now)
            self._remove(PATIENCE, now)
            return
        self._move(WatchTrigger.DRAINED, now)
        if error is not None and ending.exit_code == 0:
            self._abort(error)
            return
        if error is not None:  # what the build came to weighs more
            self._actions.append(Tell(error.message))
        elif self._loss and self.handover.fetched is not None:
            self._actions.append(Tell(f"{self.rules.saved_log} has the whole log"))
        self._conclude(now)

    def _finish_logs(self, *, cut: bool) -> None:
        self._logs_until = None
        self._actions += self.logs.drop()
        if cut:
            self._actions.append(Tell("the end of the log could not be read"))
        done = self.ending is not None and self.ending.cause is Cause.DONE
        self._loss = self.logs.loss(has_end=done)
        if self._loss:
            self._actions.append(Tell(self._loss))

    def _remove_for_leaving(self, now: float) -> None:
        self._actions.append(Tell(f"deleting pod {self.name} (interrupt again to leave at once)"))
        self._remove(INTERRUPTED_PATIENCE, now)

    def _remove(self, patience: float, now: float) -> None:
        self._stop_streams()
        self._removed_until = now + patience + self._grace()
        if not self.is_gone:
            self._actions.append(DeletePod(patience))

    def _check_removed(self, now: float) -> None:
        if self.is_gone or (self._is_deleted and not self.rules.awaits_removal):
            self._move(WatchTrigger.GONE, now)
            left = "no pod is left behind"
        elif now >= self._removed_until:
            self._move(WatchTrigger.LEFT, now)
            left = f"pod {self.name} is still there"
            if not self.is_interrupted:
                self._actions.append(Tell(left))
        else:
            return
        if self.is_interrupted:
            self._abort(Interrupted(f"interrupted; {left}"))
        else:
            self._conclude(now)

    def _conclude(self, now: float) -> None:
        ending = self.ending
        assert ending is not None  # noqa: S101  # `validate` has it
        reader = self.logs.readers.get(ending.container)
        words = (reader.kept if reader else ContainerLog()).words()
        result = PodResult(
            name=self.name,
            ending=ending,
            step=words.cause if ending.exit_code else "",
            tail=words.lines,
            failed_target=reader.kept.failed_target if reader else None,
            kept=not self.is_gone,
            seconds=now - self._created,
        )
        self._stop_streams()
        # Of Pods whose logs nobody reads, such as probes and units, other containers are known.
        if self.rules.reads_logs and not self.is_gone:
            self._actions += map(Tell, words_on_strangers(self.pod))
        self._actions.append(Conclude(result))

    def _abort(self, error: DagError) -> None:
        self._stop_streams()
        self._actions.append(Abort(error))

    # ---- little things ------------------------------------------------------------------------

    def _move(self, trigger: WatchTrigger, now: float) -> None:
        self.history.append((now, trigger))
        self.state = state_after(self.state, trigger, self.history)

    def _tell_once(self, message: str) -> None:
        if message != self._said:
            self._said = message
            self._actions.append(Tell(message))

    def _stop_streams(self) -> None:
        self._actions += self.logs.drop()
        self._actions += self.handover.drop()

    def _grace(self) -> float:
        return float(self.pod["spec"].get("terminationGracePeriodSeconds", 30)) + _REMOVAL_GRACE
