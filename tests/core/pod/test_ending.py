"""The meaning of a Pod's status, for those of a real cluster (Kubernetes 1.34, containerd 2.1).

Each file in `pods/` is what a watch brought in that case, without the fields that nobody reads.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dag.core.build.scripts import MADE_NOTHING
from dag.core.pod import status
from dag.core.pod.ending import Cause, Ending, PodFacts, how_build_ended
from dag.core.pod.lastwords import encode_last_words
from dag.core.pod.waiting import Waiting, event_time, how_far, why_waiting
from tests.support import podstories
from tests.support.podstories import ended

PODS = Path(__file__).parent / "pods"


def pod(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PODS / f"{name}.json").read_text())
    return loaded


def how_ended(pod: dict[str, Any], *, deleted: bool = False) -> Ending | None:
    return how_build_ended(PodFacts(pod, deleted=deleted))


DELETED = "somebody deleted the pod while it was building"
ENDINGS = [
    ("done", Cause.DONE, 0, "make ended with exit code 0"),
    ("done-out-runs", Cause.DONE, 0, "make ended with exit code 0"),
    ("make-failed", Cause.MAKE, 1, "make failed with exit code 2"),
    ("oom-first", Cause.OOM_KILLED, 1, "OOMKilled, it may have 2Gi"),
    ("oom-child", Cause.OOM_KILLED, 1, "OOMKilled, it may have 2Gi"),
    ("timeout", Cause.TIMEOUT, 1, "longer than --timeout (8 s)"),
    ("evicted-disk", Cause.EVICTED, 3, "usage exceeds the total limit of containers 1Gi"),
    ("evicted-api", Cause.EVICTED, 3, "evicted (a drain of node node-"),
    ("preempted", Cause.PREEMPTED, 3, "preempted by one of higher priority"),
    ("node-lost", Cause.NODE_LOST, 3, "stopped answering"),
    ("deleted", Cause.DELETED, 3, DELETED),
    ("init-failed", Cause.INIT, 3, "container populate-cache failed: exit code 1"),
    ("init-without-shell", Cause.INIT, 3, "container init failed: StartError, exit code 128"),
    ("build-without-shell", Cause.START, 3, 'exec: "sh": executable file not found'),
    ("build-without-make", Cause.START, 3, "did not begin: this image has no make"),
]


@pytest.mark.parametrize(
    ("name", "cause", "code", "words"), ENDINGS, ids=[name for name, *_ in ENDINGS]
)
def test_an_ending_has_its_cause_exit_code_and_words(
    name: str, cause: Cause, code: int, words: str
) -> None:
    ending = how_ended(pod(name))
    assert ending is not None
    assert (ending.cause, ending.exit_code) == (cause, code)
    assert words in ending.message


@pytest.mark.parametrize("name", ["running", "new", "not-scheduled", "waiting-for-image"])
def test_what_goes_on_has_no_ending_until_it_is_deleted(name: str) -> None:
    assert how_ended(pod(name)) is None
    ending = how_ended(pod(name), deleted=True)
    assert ending is not None
    assert (ending.cause, ending.exit_code) == (Cause.DELETED, 3)


def test_a_pod_deleted_by_force_vanishes_while_it_runs() -> None:
    assert how_ended(pod("deleted-by-force")) is None
    ending = how_ended(pod("deleted-by-force"), deleted=True)
    assert ending is not None
    assert ending.cause is Cause.DELETED


def test_a_build_that_ended_before_it_was_deleted_keeps_its_own_ending() -> None:
    failed = pod("make-failed")
    ended = failed["status"]["containerStatuses"][0]["state"]["terminated"]
    ended["finishedAt"] = "2026-11-25T10:00:00Z"
    failed["metadata"] |= {
        "deletionTimestamp": "2026-11-25T10:00:35Z",
        "deletionGracePeriodSeconds": 30,
    }
    ending = how_ended(failed, deleted=True)
    assert ending is not None
    assert ending.cause is Cause.MAKE


@pytest.mark.parametrize("message", ["", "dag: end of log: 1 lines, 4 bytes, exit 3\n"])
def test_exit_code_3_of_make_itself_is_no_refusal(message: str) -> None:
    odd = pod("build-without-make")
    odd["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = message
    ending = how_ended(odd)
    assert ending is not None
    assert (ending.cause, ending.message) == (Cause.MAKE, "make failed with exit code 3")


def test_a_pod_deleted_while_an_init_container_runs_was_deleted() -> None:
    asked = pod("done")
    asked["metadata"] |= {
        "deletionTimestamp": "2026-01-01T00:00:30Z",
        "deletionGracePeriodSeconds": 30,
    }
    asked["status"] = {"phase": "Failed"}
    ending = how_ended(asked)
    assert ending is not None
    assert (ending.cause, ending.message) == (
        Cause.DELETED,
        "somebody deleted the pod before it was building",
    )


def test_a_build_that_ended_well_and_made_nothing_says_so() -> None:
    done = pod("done")
    done["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = f"{MADE_NOTHING}\n"
    ending = how_ended(done)
    assert ending is not None
    assert (ending.exit_code, ending.hint) == (
        0,
        "make made no package: is that what its targets are for?",
    )


@pytest.mark.parametrize(
    ("reason", "cause", "words"),
    [
        ("Terminated", Cause.NODE_LOST, "shut down: why"),
        ("Shutdown", Cause.NODE_LOST, "shut down: why"),
        ("NodeShutdown", Cause.NODE_LOST, "was about to shut down: why"),
        ("NodeLost", Cause.NODE_LOST, "went away: why"),
        ("Preempting", Cause.PREEMPTED, "made way for a critical one of its node: why"),
    ],
)
@pytest.mark.parametrize("phase", ["Running", "Failed"])
def test_what_the_node_itself_did_to_a_pod_is_no_failure_of_make_without_a_condition_too(
    reason: str, cause: Cause, words: str, phase: str
) -> None:
    taken = pod("make-failed")
    taken["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = 143
    taken["status"] |= {"phase": phase, "reason": reason, "message": "why"}
    ending = how_ended(taken)
    assert ending is not None
    assert (ending.cause, ending.exit_code) == (cause, 3)
    assert ending.message.endswith(words)
    assert ending.hint == "nothing is wrong with the packages: run it again"


@pytest.mark.parametrize(("reason", "code"), [("ContainerStatusUnknown", 137), ("Unknown", 255)])
@pytest.mark.parametrize("container", ["init", "build"])
def test_an_exit_code_that_the_node_made_up_says_nothing_of_make(
    reason: str, code: int, container: str
) -> None:
    lost = pod("done")
    lost["spec"]["nodeName"] = "node-a"
    kind = "initContainerStatuses" if container == "init" else "containerStatuses"
    (status,) = (one for one in lost["status"][kind] if one["name"] == container)
    status["state"]["terminated"] |= {"reason": reason, "exitCode": code, "message": "gone"}
    ending = how_ended(lost)
    assert ending is not None
    assert (ending.cause, ending.exit_code) == (Cause.NODE_LOST, 3)
    assert ending.message == f"node node-a does not know how container {container} ended: gone"


@pytest.mark.parametrize(
    ("code", "words", "hint"), [(137, "SIGKILL", "--ram"), (143, "SIGTERM", "run it again")]
)
def test_a_signal_is_named_with_what_may_have_sent_it(code: int, words: str, hint: str) -> None:
    killed = pod("make-failed")
    killed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = code
    ending = how_ended(killed)
    assert ending is not None
    assert (ending.cause, ending.exit_code) == (Cause.MAKE, 1)
    assert f"{words} (exit code {code})" in ending.message
    assert hint in (ending.hint or "")


@pytest.mark.parametrize("reason", ["UnexpectedAdmissionError", "OutOfcpu", "NodeAffinity"])
def test_a_pod_that_its_node_did_not_take_has_the_nodes_words(reason: str) -> None:
    refused = pod("new")
    refused["status"] = {
        "phase": "Failed",
        "reason": reason,
        "message": f"Pod was rejected: {reason}",
    }
    ending = how_ended(refused)
    assert ending is not None
    assert (ending.cause, ending.exit_code) == (Cause.START, 3)
    assert ending.message == f"the pod ended without a build: Pod was rejected: {reason}"


def test_without_a_limit_the_request_is_named() -> None:
    killed = pod("oom-child")
    del killed["spec"]["containers"][0]["resources"]["limits"]
    ending = how_ended(killed)
    assert ending is not None
    assert "it asked for 128Mi" in ending.message


@pytest.mark.parametrize(
    ("name", "container", "hint"),
    [
        ("init-without-shell", "init", "--bundle-base"),
        ("build-without-shell", "build", "--sdk-image"),
        ("oom-first", "build", "--ram"),
        ("evicted-disk", "build", "--disk"),
        ("preempted", "build", "run it again"),
    ],
)
def test_an_ending_names_whose_log_tells_more_and_what_to_do(
    name: str, container: str, hint: str
) -> None:
    ending = how_ended(pod(name))
    assert ending is not None
    assert ending.container == container
    assert hint in (ending.hint or "")


def test_an_image_that_is_not_there_is_hopeless() -> None:
    waiting = why_waiting(pod("waiting-for-image"))
    assert waiting is not None
    assert waiting.hopeless
    assert waiting.message.startswith("container init: cannot pull 127.0.0.1:5000/other@sha256:")
    assert waiting.message.endswith(": not found")
    assert waiting.hint == "is the name right, and does the image exist?"


def test_a_registry_out_of_reach_may_heal_and_is_told_alike_by_every_attempt() -> None:
    first, again = (pod(f"waiting-for-registry{which}") for which in ("-first", ""))
    assert why_waiting(first) == why_waiting(again)
    waiting = why_waiting(first)
    assert waiting is not None
    assert not waiting.hopeless
    assert waiting.message.endswith("connect: connection refused")


def test_the_cause_of_an_older_kubelets_back_off_is_in_its_events() -> None:
    older = pod("waiting-for-image")
    state = older["status"]["initContainerStatuses"][0]["state"]
    told = why_waiting(older)
    message = state["waiting"]["message"]
    state["waiting"] = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}
    event = {"reason": "Failed", "message": f'Failed to pull image "x": {message}'}
    assert why_waiting(older, [event, {"reason": "BackOff", "message": "Back-off"}]) == told


def test_a_registry_that_refuses_is_not_taken_for_a_missing_image() -> None:
    refused = pod("waiting-for-image")
    refused["status"]["initContainerStatuses"][0]["state"]["waiting"]["message"] = (
        "pull access denied, repository does not exist or may require authorization"
    )
    waiting = why_waiting(refused)
    assert waiting is not None
    assert (waiting.hopeless, waiting.hint) == (False, "the node cannot read that repository")


@pytest.mark.parametrize("reason", ["InvalidImageName", "CreateContainerConfigError"])
def test_what_cannot_heal_is_hopeless(reason: str) -> None:
    broken = pod("waiting-for-image")
    broken["status"]["initContainerStatuses"][0]["state"]["waiting"] = {
        "reason": reason,
        "message": "no",
    }
    assert why_waiting(broken) == Waiting(f"container init: {reason}: no", hopeless=True)


@pytest.mark.parametrize(
    "reason",
    ["RunContainerError", "CreateContainerError", "CrashLoopBackOff", "PostStartHookError"],
)
def test_whatever_keeps_a_container_from_its_start_is_told(reason: str) -> None:
    broken = pod("waiting-for-image")
    state = broken["status"]["initContainerStatuses"][0]["state"]
    state["waiting"] = {"reason": reason, "message": "the node says why"}
    assert why_waiting(broken) == Waiting(f"container init: {reason}: the node says why")
    state["waiting"] = {"reason": "PodInitializing"}
    assert why_waiting(broken) is None


@pytest.mark.parametrize("kind", ["secret", "configmap"])
def test_a_secret_that_the_node_has_not_read_yet_is_waited_for(kind: str) -> None:
    message = f"failed to sync {kind} cache: timed out waiting for the condition"
    slow = pod("waiting-for-image")
    slow["status"]["initContainerStatuses"][0]["state"]["waiting"] = {
        "reason": "CreateContainerConfigError",
        "message": message,
    }
    assert why_waiting(slow) == Waiting(f"container init: CreateContainerConfigError: {message}")


@pytest.mark.parametrize(
    ("reason", "detail", "hint"),
    [
        ("ErrImagePull", "toomanyrequests: You have reached your pull rate limit.", "log in there"),
        ("ErrImagePull", "tls: failed to verify certificate: x509: unknown authority", "trust"),
        ("ErrImagePull", "http: server gave HTTP response to HTTPS client", "plain http"),
        ("ErrImagePull", "dial tcp: lookup registry.example: no such host", "--pull-repo"),
        ("ImageInspectError", "rpc error: code = Unknown desc = no disk", None),
        ("SignatureValidationFailed", "a signature was required", None),
    ],
)
def test_a_pull_that_may_heal_is_told_with_what_may_help(
    reason: str, detail: str, hint: str | None
) -> None:
    waits = pod("waiting-for-image")
    waits["status"]["initContainerStatuses"][0]["state"]["waiting"] = {
        "reason": reason,
        "message": detail,
    }
    waiting = why_waiting(waits)
    assert waiting is not None
    assert waiting.message.startswith("container init: cannot pull 127.0.0.1:5000/other@sha256:")
    assert detail.rpartition("desc = ")[2] in waiting.message
    assert not waiting.hopeless
    assert (hint or "") in (waiting.hint or "")
    assert bool(hint) == bool(waiting.hint)


def test_the_schedulers_own_message_is_told() -> None:
    waiting = why_waiting(pod("not-scheduled"))
    assert waiting is not None
    assert waiting.message.startswith("not scheduled: 0/")
    assert not waiting.hopeless


def test_the_newest_event_that_matters_is_told_when_the_status_says_nothing() -> None:
    events = [
        {"reason": "FailedMount", "message": "newer\n", "eventTime": "2026-01-02T00:00:00Z"},
        {"reason": "FailedMount", "message": "older", "lastTimestamp": "2026-01-01T00:00:00Z"},
        {"reason": "Pulled", "message": "fine", "lastTimestamp": "2026-01-03T00:00:00Z"},
    ]
    ordered = sorted(events, key=event_time)
    assert why_waiting(pod("new"), ordered) == Waiting("FailedMount: newer")
    assert why_waiting(pod("new")) is None


def test_it_is_told_how_far_a_pod_has_come_of_which_nobody_says_why_it_waits() -> None:
    pulled = {"reason": "Pulled", "message": "Container image is already present\n"}
    new = pod("new")
    known = how_far(new)
    assert known is not None
    assert known.message == "no scheduler has looked at it"
    assert "kubectl get pods -n kube-system" in (known.hint or "")
    new["spec"]["nodeName"] = "node-a"
    known = how_far(new, [{"reason": "Scheduled", "message": "Successfully assigned"}])
    assert known is not None
    assert known.message == "node node-a has not taken it up"
    assert "kubectl describe node node-a" in (known.hint or "")
    taken = pod("waiting-for-image")
    assert how_far(taken) is None
    words = f"node {taken['spec']['nodeName']} said last: Container image is already present"
    assert how_far(taken, [pulled, {"reason": "Other"}]) == Waiting(words)


def test_a_pod_works_while_an_init_container_runs_and_once_the_build_has_begun() -> None:
    assert status.is_working(pod("running"))
    assert not status.is_working(pod("new"))
    assert not status.is_working(pod("waiting-for-image"))
    starting = pod("waiting-for-image")
    starting["status"]["initContainerStatuses"][0]["state"] = {"running": {}}
    assert status.is_working(starting)


def test_containers_come_in_the_order_of_the_pod() -> None:
    assert list(status.containers(pod("init-failed"))) == ["init", "populate-cache", "build"]
    assert list(status.containers(pod("done-out-runs"))) == ["init", "build", "out"]
    assert status.containers(pod("new")) == {}


def test_a_container_that_was_never_made_has_no_log() -> None:
    found = status.containers(pod("init-failed"))
    assert status.has_started(found["populate-cache"])
    assert status.has_ended(found["populate-cache"])
    assert not status.has_started(found["build"])


def test_what_the_agent_says_to_do_is_the_hint_of_the_ending() -> None:
    failed = ended(3, message=encode_last_words("the bucket refuses", "ask for the role"))
    before = how_ended(podstories.pod(init=failed))
    words = "container init failed: exit code 3: the bucket refuses"
    assert before == Ending(Cause.INIT, words, "ask for the role", "init")
    after = how_ended(podstories.built(upload=failed))
    words = "everything is built, but the upload failed: the bucket refuses"
    assert after == Ending(Cause.UPLOAD, words, "ask for the role", "upload")
    both = how_ended(podstories.built(2, upload=failed))
    words = "make failed with exit code 2; the upload failed: the bucket refuses"
    assert both == Ending(Cause.MAKE, words, "ask for the role")
