"""A watch tells how a pod ended and brings its packages back, without a cluster or a clock."""

from __future__ import annotations

import pytest

from dag.core.doctor.probes import PROBE_RULES
from dag.core.pod.ending import Cause
from dag.core.pod.events import (
    Conclude,
    DeletePod,
    DeletionAccepted,
    DropFetch,
    FetchPackages,
    InterruptRequested,
    LogRead,
    PackagesFetched,
    PodGone,
    PodSeen,
    Tell,
    WatchFailed,
)
from dag.core.pod.states import LIVE, WatchState
from tests.support.podstories import (
    LIMIT,
    NO_CONTACT,
    RUNNING,
    Json,
    Story,
    built,
    ended,
    line,
    pod,
    waiting,
)


@pytest.mark.parametrize(
    ("state", "cause", "code", "words"),
    [
        (ended(0), Cause.DONE, 0, "make ended with exit code 0"),
        (ended(2), Cause.MAKE, 1, "make failed with exit code 2"),
        (ended(0, reason="OOMKilled"), Cause.OOM_KILLED, 1, "killed for want of memory"),
    ],
)
def test_a_build_that_ended_names_its_cause_and_its_pod_is_kept(
    state: Json, cause: Cause, code: int, words: str
) -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING, after=1)
    story.see(init=ended(), build=state, after=1)
    failed = b"make: *** [Makefile:7: packages/a.apk] Error 7"
    story.tell(LogRead("build", 1, [line(1, b"making"), line(2, failed)]))
    story.finish_logs()
    result = story.result
    assert (result.name, result.ending.cause, result.ending.exit_code) == ("dag-x", cause, code)
    assert words in result.ending.message
    assert result.tail == ("making", failed.decode())
    assert result.failed_target == "packages/a.apk"
    assert result.kept
    assert not story.of(DeletePod)
    assert result.seconds >= 2


@pytest.mark.parametrize(
    ("condition", "cause"),
    [
        ("PreemptionByScheduler", Cause.PREEMPTED),
        ("DeletionByTaintManager", Cause.NODE_LOST),
        ("EvictionByEvictionAPI", Cause.EVICTED),
    ],
)
def test_who_took_the_pod_away_is_the_cause(condition: str, cause: Cause) -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    target = {"type": "DisruptionTarget", "status": "True", "reason": condition}
    story.see(init=ended(), build=RUNNING, conditions=[target])
    story.wait(5)
    assert story.result.ending.cause is cause
    assert story.result.ending.hint == "nothing is wrong with the packages: run it again"


def test_what_a_mesh_has_put_into_the_pod_is_not_waited_for_and_told() -> None:
    def meshed(build: Json) -> Json:
        one = pod(init=ended(), build=build)
        one["spec"]["containers"].append({"name": "istio-proxy"})
        one["status"]["containerStatuses"].append({"name": "istio-proxy", "state": RUNNING})
        return one

    story = Story().begin(meshed(RUNNING))
    story.tell(PodSeen(meshed(ended())))
    story.finish_logs()
    assert story.result.ending.cause is Cause.DONE
    (said,) = story.said
    assert said.startswith("pod dag-x goes on, because others have put istio-proxy into it: ")
    assert "kubectl delete pod dag-x -n n" in said


def test_a_step_that_fails_is_told_with_its_log_and_the_pod_goes() -> None:
    story = Story().begin()
    story.see(init=ended(), populate=ended(1))
    story.tell(LogRead("populate-cache", 1, [line(1, b"cp: no such file")]))
    story.finish_logs()
    assert story.of(DeletePod)
    story.tell(DeletionAccepted(), PodGone(pod()))
    result = story.result
    assert (result.ending.cause, result.ending.container) == (Cause.INIT, "populate-cache")
    assert (result.tail, result.kept) == (("cp: no such file",), False)


def test_a_pod_that_vanishes_before_it_was_ever_seen_was_deleted() -> None:
    story = Story().begin()
    story.tell(PodGone(pod()))
    assert story.result.ending.cause is Cause.DELETED


def test_another_pod_of_the_same_name_is_another_pod() -> None:
    story = Story().begin()
    story.tell(PodSeen(pod(build=ended(), uid="two")), PodGone(pod(uid="two")))
    assert story.watch.state is WatchState.WAITING


def test_what_is_gone_does_not_come_back() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    story.tell(PodGone(pod(init=ended(), build=RUNNING)), PodSeen(built()))
    story.wait(5)
    assert story.result.ending.cause is Cause.DELETED


@pytest.mark.parametrize("upload", [RUNNING, waiting()], ids=["working", "late"])
def test_contact_that_is_lost_for_good_ends_the_watch_and_leaves_the_build_alone(
    upload: Json,
) -> None:
    story = Story().begin(built(upload=upload))
    story.tell(WatchFailed(NO_CONTACT))
    assert story.error is NO_CONTACT
    assert not story.of(DeletePod)
    assert story.watch.leftover == "pod dag-x may still be there"


def test_news_that_come_in_the_wrong_order_do_no_harm() -> None:
    story = Story().begin()
    for seen in (built(upload=waiting()), pod(), pod(init=RUNNING, upload=waiting())):
        story.tell(PodSeen(seen))
    assert story.watch.state is WatchState.WORKING


def test_after_its_end_nothing_is_done_any_more() -> None:
    story = Story().begin(built())
    story.finish_logs()
    assert story.tell(PodGone(built()), InterruptRequested(), WatchFailed(NO_CONTACT)) == []


def test_packages_are_fetched_as_soon_as_the_build_has_ended_while_an_upload_goes_on() -> None:
    story = Story(fetches=True).begin()
    story.see(init=ended(), build=RUNNING, out=RUNNING, upload=RUNNING)
    assert not story.of(FetchPackages)
    story.see(init=ended(), build=ended(), out=RUNNING, upload=RUNNING)
    assert len(story.of(FetchPackages)) == 1
    story.tell(PackagesFetched())
    assert story.watch.state in LIVE
    story.see(init=ended(), build=ended(), out=RUNNING, upload=ended())
    story.finish_logs()
    assert story.result.ending.exit_code == 0
    assert len(story.of(FetchPackages)) == 1


def test_the_result_waits_for_packages_that_are_on_their_way() -> None:
    story = Story(fetches=True).begin(built(out=RUNNING))
    story.finish_logs()
    story.wait(10 * LIMIT)
    assert not story.of(Conclude)
    story.tell(PackagesFetched())
    assert story.result.ending.exit_code == 0


def test_packages_that_do_not_come_fail_a_build_that_went_well() -> None:
    story = Story(fetches=True).begin(built(out=RUNNING))
    story.finish_logs()
    story.tell(PackagesFetched(NO_CONTACT))
    assert story.error is NO_CONTACT


def test_packages_that_do_not_come_are_only_said_of_a_build_that_failed() -> None:
    story = Story(fetches=True).begin(built(2, out=RUNNING))
    story.finish_logs()
    story.tell(PackagesFetched(NO_CONTACT))
    assert story.said == ["cannot connect"]
    assert story.result.ending.cause is Cause.MAKE


def test_a_build_that_is_faster_than_what_serves_its_packages_waits_for_it() -> None:
    story = Story(fetches=True).begin(built(out=waiting()))
    assert story.watch.state is WatchState.LATE
    story.tell(PodSeen(built(out=RUNNING)), after=LIMIT - 1)
    assert story.of(FetchPackages)


@pytest.mark.parametrize("code", [0, 2])
def test_what_serves_packages_and_cannot_start_is_given_up_and_said(code: int) -> None:
    state = waiting("CreateContainerConfigError", "never as root")
    story = Story(fetches=True).begin(built(code, out=state))
    story.finish_logs()
    story.wait(10)
    words = "the packages cannot be brought back: container out: CreateContainerConfigError: "
    if code:
        assert story.said[-1].startswith(words)
        assert story.result.ending.cause is Cause.MAKE
    else:
        assert story.error.message.startswith(words)


def test_an_upload_that_does_not_start_in_time_failed() -> None:
    story = Story().begin(built(upload=waiting()))
    assert story.watch.state is WatchState.LATE
    story.wait(LIMIT)
    story.finish_logs()
    assert story.result.ending.cause is Cause.UPLOAD
    assert "container upload has not started" in story.result.ending.message


def test_an_upload_that_starts_after_the_build_has_ended_is_waited_for() -> None:
    story = Story().begin(pod(init=ended(), build=RUNNING, upload=waiting()))
    story.tell(PodSeen(built(upload=waiting())))
    story.tell(PodSeen(built(upload=RUNNING)), after=LIMIT - 1)
    story.wait(10 * LIMIT)
    assert not story.of(DeletePod)
    assert not story.of(Conclude)
    story.tell(PodSeen(built(upload=ended())))
    story.finish_logs()
    assert story.result.ending.cause is Cause.DONE


def test_both_that_take_packages_and_do_not_start_are_given_up() -> None:
    story = Story(fetches=True).begin(built(2, out=waiting(), upload=waiting()))
    story.wait(LIMIT)
    story.finish_logs()
    assert "the upload failed: nothing ran for 300 s" in story.result.ending.message
    assert story.said[-1].startswith("the packages cannot be brought back: nothing ran for 300 s")


def test_a_pod_that_is_taken_away_takes_its_packages_along() -> None:
    story = Story(fetches=True).begin(built(out=RUNNING, upload=RUNNING))
    target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    story.tell(PodSeen(built(out=RUNNING, upload=RUNNING, conditions=[target])))
    story.wait(5)
    assert story.of(DropFetch)
    assert story.said[-1] == "the packages cannot be brought back: their pod has ended"
    assert story.result.ending.cause is Cause.NODE_LOST


def test_packages_that_are_here_stay_here_when_the_pod_is_taken_away() -> None:
    story = Story(fetches=True).begin(built(out=RUNNING, upload=RUNNING))
    story.tell(PackagesFetched())
    target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    story.tell(PodSeen(built(out=RUNNING, upload=RUNNING, conditions=[target])))
    story.wait(5)
    assert not [text for text in story.said if "brought back" in text]


@pytest.mark.parametrize("last", [b"dag: end of log: 2 lines, 8 bytes, exit 0", None])
def test_a_log_whose_end_the_node_does_not_give_is_told(last: bytes | None) -> None:
    story = Story().begin(pod(init=ended(), build=RUNNING))
    lines = [line(1, b"one"), line(2, b"two"), *([line(3, last)] if last else [])]
    story.tell(LogRead("build", 1, lines))
    story.tell(PodSeen(pod(init=ended(), build=ended())))
    story.finish_logs()
    assert story.result.ending.cause is Cause.DONE
    told = "the node gave no more than 2 lines of the log, and not its end"
    assert story.said == ([] if last else [told])


def test_the_container_of_a_probe_is_nobody_elses() -> None:
    probe = pod(build=RUNNING)
    probe["spec"]["containers"] = [{"name": "probe"}]
    probe["status"]["containerStatuses"] = [{"name": "probe", "state": RUNNING}]
    story = Story(PROBE_RULES).begin(probe)
    story.wait(PROBE_RULES.timeout + 1)
    story.tell(DeletionAccepted())
    story.wait(600)
    assert story.of(Conclude)
    assert [one.text for one in story.of(Tell) if "others" in one.text] == []
