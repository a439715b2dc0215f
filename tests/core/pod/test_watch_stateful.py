"""The promises of a watch, whose events may come twice, in any order, late or never."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from dag.core.pod.ending import NEVER_BUILT, TAKEN_AWAY, Cause
from dag.core.pod.events import (
    Abort,
    Conclude,
    DeletePod,
    DeletionAccepted,
    DropFetch,
    DropLogs,
    FetchPackages,
    InterruptRequested,
    LogBroke,
    LogEnded,
    LogRead,
    NewsResumed,
    NewsStopped,
    PackagesFetched,
    PodAction,
    PodCreated,
    PodEvent,
    PodEventsHidden,
    PodGone,
    PodNotCreated,
    PodSeen,
    PrintLog,
    ReadLog,
    Tell,
    Ticked,
    WakeAt,
    WatchFailed,
)
from dag.core.pod.invariants import validate
from dag.core.pod.states import WatchRules, WatchState
from dag.core.pod.watch import PodWatch
from dag.errors import InfrastructureError, Interrupted
from tests.support.podstories import RUNNING, Json, api_event, ended, pod, waiting

ERROR = InfrastructureError("no")
TRAILER = "dag: end of log: 9 lines, 18 bytes, exit 2"
CONTAINERS = ("proxy", "init", "build", "upload")

states: st.SearchStrategy[Json | None] = st.one_of(
    st.none(),
    st.just({}),
    st.just(RUNNING),
    st.builds(ended, st.sampled_from([0, 1, 2, 137])),
    st.builds(
        waiting,
        st.sampled_from(["ContainerCreating", "ErrImagePull", "InvalidImageName"]),
        st.sampled_from(["", "not found", "refused"]),
    ),
)
disruption = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
conditions: st.SearchStrategy[list[Json]] = st.one_of(
    st.just([]),
    st.just([]),
    st.just([{"type": "PodScheduled", "status": "False", "message": "full"}]),
    st.just([disruption]),
)
stages = st.sampled_from(
    [
        {},
        {"init": RUNNING},
        {"init": waiting("ErrImagePull", "not found")},
        {"init": ended(), "build": waiting()},
        {"init": ended(), "build": RUNNING, "out": RUNNING, "upload": RUNNING},
        {"init": ended(), "build": ended(), "out": waiting(), "upload": waiting()},
        {"init": ended(), "build": ended(), "out": waiting(), "upload": RUNNING},
        {"init": ended(), "build": ended(2), "out": RUNNING, "upload": RUNNING},
        {"init": ended(), "build": ended(2, message=TRAILER), "out": RUNNING, "upload": RUNNING},
        {"init": ended(), "build": ended(), "out": RUNNING, "upload": ended()},
    ]
)
"""The states in which a Pod may really be; arbitrary states end most watches at once."""
arbitrary = st.builds(
    pod,
    sidecar=states,
    init=states,
    build=states,
    out=states,
    upload=states,
    conditions=conditions,
    phase=st.sampled_from(["Pending", "Running", "Running", "Failed", "Succeeded"]),
    uid=st.sampled_from(["one", "one", "one", "one", "two"]),
)
pods = st.one_of(*[stages.map(lambda one: pod(**one))] * 3, arbitrary)
seldom = st.integers(0, 5).map(lambda number: number == 5)
"""True now and then. It guards what ends most watches, because few would come far otherwise."""
watch_rules = st.builds(
    WatchRules,
    pending_timeout=st.sampled_from([0.0, 20.0, 300.0]),
    hopeless_grace=st.sampled_from([0.0, 10.0]),
    stalled_grace=st.sampled_from([10.0, float("inf")]),
    timeout=st.sampled_from([60.0, float("inf")]),
    reads_logs=st.booleans(),
    fetches=st.booleans(),
    keeps_pod=st.booleans(),
    awaits_removal=st.booleans(),
)


class Watching(RuleBasedStateMachine):
    """A world around a watch, which keeps its own record of what the watch asked for."""

    @initialize(rules=watch_rules, first=st.one_of(st.none(), pods, pods, pods))
    def begin(self, rules: WatchRules, first: Json | None) -> None:
        self.given = rules
        self.watch = PodWatch(rules)
        self.now = 0.0
        self.told: list[tuple[float, PodEvent]] = []
        self.done: list[list[PodAction]] = []
        self.has_news = True
        self.said = ""
        self.interrupted = 0
        self.lines = dict.fromkeys(CONTAINERS, 0)
        """How many lines each container has written; each is a second after the one before it."""
        self.printed: dict[str, list[int]] = {name: [] for name in CONTAINERS}
        self.streams: dict[str, ReadLog] = {}
        """The streams that are open."""
        self.cursors: dict[str, int] = {}
        if first is not None:
            self.tell(PodCreated(first))

    def tell(self, event: PodEvent) -> None:
        actions = self.watch.handle(event, self.now)
        self.told.append((self.now, event))
        self.done.append(actions)
        for action in actions:
            match action:
                case ReadLog(container, _, since, _):
                    assert container not in self.streams, "two streams of one log"
                    self.streams[container] = action
                    self.cursors[container] = since.second if since else 0
                case DropLogs():
                    self.streams.clear()
                case PrintLog(container, lines):
                    self.printed[container] += [int(line) for line in lines]
                case Tell(text, detail=False):
                    assert text != self.said, "said twice"
                    assert self.has_news or not text.startswith("giving up"), "old news"
                    self.said = text
                case _:
                    pass

    # ---- what may happen ----------------------------------------------------------------------

    @rule(pod=pods)
    def create(self, pod: Json) -> None:
        self.tell(PodCreated(pod))

    @rule()
    def not_created(self) -> None:
        self.tell(PodNotCreated())

    @rule(pod=pods, twice=st.booleans())
    def see(self, pod: Json, *, twice: bool) -> None:
        for _ in range(1 + twice):
            self.tell(PodSeen(pod))

    @rule(pod=pods, rarely=seldom)
    def vanish(self, pod: Json, *, rarely: bool) -> None:
        if rarely:
            self.tell(PodGone(pod))

    @rule(news=st.booleans())
    def news(self, *, news: bool) -> None:
        self.has_news = news
        self.tell(NewsResumed() if news else NewsStopped())

    @rule(
        reason=st.sampled_from(["FailedMount", "FailedScheduling", "NodeNotReady", "Pulling"]),
        uid=st.sampled_from("ab"),
        time=st.integers(0, 59),
    )
    def api_event(self, reason: str, uid: str, time: int) -> None:
        self.tell(api_event(reason, "why", uid=uid, time=time))

    @rule()
    def hidden(self) -> None:
        self.tell(PodEventsHidden())

    @rule(name=st.sampled_from(CONTAINERS), number=st.integers(1, 3))
    def write(self, name: str, number: int) -> None:
        self.lines[name] = min(self.lines[name] + number, 59)

    @rule(name=st.sampled_from(CONTAINERS), number=st.integers(1, 9))
    @precondition(lambda self: self.streams)
    def read(self, name: str, number: int) -> None:
        if name in self.streams:
            first = self.cursors[name]
            until = min(first + number, self.lines[name])
            lines = [b"2026-01-01T00:00:%02d.0Z %d" % (n, n) for n in range(first, until)]
            self.cursors[name] = max(first, until)
            self.tell(LogRead(name, self.streams[name].stream, lines))

    @rule(name=st.sampled_from(CONTAINERS), status=st.sampled_from([None, 0, 400, 403, 404, 500]))
    @precondition(lambda self: self.streams)
    def end_stream(self, name: str, status: int | None) -> None:
        if name in self.streams:
            number = self.streams.pop(name).stream
            self.tell(
                LogEnded(name, number) if status is None else LogBroke(name, number, status, ERROR)
            )

    @rule(name=st.sampled_from(CONTAINERS), back=st.integers(1, 3))
    def late_stream(self, name: str, back: int) -> None:
        reader = self.watch.logs.readers.get(name)
        number = (reader.stream if reader else 0) - back
        before = self.watch.state
        self.tell(LogRead(name, number, [b"2026-01-01T00:00:59.0Z 99"]))
        self.tell(LogBroke(name, number, 403, ERROR))
        self.tell(LogEnded(name, number))
        assert self.watch.state is before or self.watch.due() > self.now

    @rule(error=st.sampled_from([None, ERROR]))
    def fetched(self, error: InfrastructureError | None) -> None:
        self.tell(PackagesFetched(error))

    @rule(existed=st.booleans())
    def deleted(self, *, existed: bool) -> None:
        self.tell(DeletionAccepted(existed))

    @rule(rarely=seldom)
    def fail(self, *, rarely: bool) -> None:
        if rarely:
            self.tell(WatchFailed(ERROR))

    @rule(rarely=seldom)
    def interrupt(self, *, rarely: bool) -> None:
        if rarely:
            self.interrupted += self.watch.state is not WatchState.ENDED
            self.tell(InterruptRequested())

    @rule(later=st.floats(0, 100))
    def tick(self, later: float) -> None:
        self.now += later
        self.tell(Ticked())

    @rule()
    @precondition(lambda self: self.watch.due() < float("inf"))
    def wake(self) -> None:
        self.now = max(self.now, self.watch.due())
        self.tell(Ticked())

    # ---- what always holds --------------------------------------------------------------------

    @invariant()
    def is_valid(self) -> None:
        validate(self.watch)

    @invariant()
    def ends_once_and_does_nothing_afterwards(self) -> None:
        ends = [a for one in self.done for a in one if isinstance(a, Conclude | Abort)]
        assert len(ends) == (self.watch.state is WatchState.ENDED)
        if ends:
            last = next(one for one in reversed(self.done) if one)
            assert last[-1] is ends[0]
            assert self.watch.due() == float("inf")

    @invariant()
    def asks_to_be_woken_in_time(self) -> None:
        if self.done and self.done[-1] and self.watch.due() < float("inf"):
            wakes = [a for one in self.done for a in one if isinstance(a, WakeAt)]
            assert wakes[-1].when <= self.watch.due()
        assert self.watch.due() > self.now or self.watch.state is WatchState.ENDED

    @invariant()
    def prints_each_line_once_and_in_order(self) -> None:
        for name, printed in self.printed.items():
            assert printed == list(range(len(printed))), name

    @invariant()
    def fetches_once(self) -> None:
        actions = [a for one in self.done for a in one]
        fetches = sum(isinstance(a, FetchPackages) for a in actions)
        assert fetches <= self.given.fetches
        assert sum(isinstance(a, DropFetch) for a in actions) <= fetches

    @invariant()
    def waits_for_packages_that_are_on_their_way(self) -> None:
        actions = [a for one in self.done for a in one]
        for action in actions:
            if isinstance(action, Conclude) and any(isinstance(a, FetchPackages) for a in actions):
                answered = any(isinstance(event, PackagesFetched) for _, event in self.told)
                lost = TAKEN_AWAY | NEVER_BUILT | {Cause.TIMEOUT}
                assert answered or action.result.ending.cause in lost

    @invariant()
    def who_interrupts_is_told_so(self) -> None:
        for action in (a for one in self.done for a in one):
            if isinstance(action, Conclude | Abort) and self.interrupted:
                assert isinstance(action, Abort)
                assert isinstance(action.error, Interrupted)

    @invariant()
    def keeps_a_pod_that_built(self) -> None:
        actions = [a for one in self.done for a in one]
        deletes = any(isinstance(a, DeletePod) for a in actions)
        for action in actions:
            if isinstance(action, Conclude) and deletes and self.given.keeps_pod:
                assert action.result.ending.cause in NEVER_BUILT | {Cause.TIMEOUT}

    @invariant()
    def names_what_it_leaves_behind(self) -> None:
        known = self.watch.pod and not self.watch.is_gone
        if known and self.watch.state is not WatchState.ENDED:
            assert self.watch.leftover == "pod dag-x may still be there"

    def teardown(self) -> None:
        if not hasattr(self, "watch"):
            return
        self.answer_everything()
        assert self.watch.state is WatchState.ENDED, "the watch did not end"
        again = PodWatch(self.given)
        replayed = [again.handle(event, now) for now, event in self.told]
        assert repr(replayed) == repr(self.done), "replay differs"  # errors equal only themselves

    def answer_everything(self) -> None:
        """Let everything succeed from here on; then the watch must end soon."""
        build = ended(message=TRAILER)
        last = pod(init=ended(), build=build, out=RUNNING, upload=ended(), uid="one")
        if self.watch.pod:
            last["metadata"]["uid"] = self.watch.pod["metadata"]["uid"]
        for _ in range(200):
            match self.watch.state:
                case WatchState.CREATING | WatchState.SEARCHING:
                    self.tell(PodCreated(last))
                case WatchState.REMOVING:
                    self.tell(DeletionAccepted())
                    self.tell(PodGone(last))
                case WatchState.ENDED:
                    return
                case _:
                    self.news(news=True)
                    self.tell(PodSeen(last))
                    self.tell(PackagesFetched())
            for name in list(self.streams):
                self.end_stream(name, None)
            self.now += 0.3
            self.tell(Ticked())


TestWatching = Watching.TestCase
TestWatching.settings = settings(stateful_step_count=40)
