"""How an attempt ended is read off its Pod, and means the right thing for its unit."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from dag.core.build.events import Broke, Faulted, Lacked, OutOfMemory
from dag.core.jobs.answers import (
    EndedAnswer,
    ProvenAnswer,
    UnprovenAnswer,
    answer_for,
    decode_answer,
    encode_answer,
    record_of,
)
from dag.core.jobs.ending import answer_of, failure_of, how_agent_ended, how_attempt_ended
from dag.core.package.apk import Apk
from dag.core.pod.ending import Cause, PodFacts
from dag.core.pod.lastwords import encode_last_words
from dag.core.store.records import Built, Record
from tests.support.podstories import RUNNING, ended

Json = dict[str, Any]
SHARE = 1024
"""Bytes of a message in a Pod of twelve containers, which share 12 KiB."""
NOTE = "dag: the store cannot be written, trying again: no space left on device"
DRAINED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
LOST = {**DRAINED, "reason": "DeletionByTaintManager"}
PROVEN = encode_answer(ProvenAnswer("0" * 64, "1" * 64, 1, built=True)).decode()


def pod(
    prepare: Json | None = None,
    build: Json | None = None,
    collect: Json | None = None,
    **status: Any,
) -> Json:
    """Return the Pod of a Job with its containers in these states."""
    states = {"build": build, "collect": collect}
    return {
        "metadata": {"name": "dag-x", "namespace": "n", "uid": "one"},
        "spec": {
            "nodeName": "node-a",
            "initContainers": [{"name": "prepare"}],
            "containers": [{"name": "build", "resources": {"limits": {"memory": "1Gi"}}}, {"name": "collect"}],
        },
        "status": {
            "initContainerStatuses": [{"name": "prepare", "state": prepare or ended()}],
            "containerStatuses": [
                {"name": name, "state": state} for name, state in states.items() if state
            ],
            **status,
        },
    }  # fmt: skip


def answered(answer: EndedAnswer | UnprovenAnswer | ProvenAnswer) -> Json:
    return ended(message=encode_answer(answer).decode())


DISRUPTED: Json = {
    "conditions": [
        {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    ]
}


def cause(found: Json, *, deleted: bool = False) -> Cause | None:
    ending = how_attempt_ended(PodFacts(found, deleted=deleted))
    return ending.cause if ending else None


def test_an_attempt_goes_on_until_the_agent_has_answered() -> None:
    assert cause(pod(build=ended(), collect=RUNNING)) is None
    assert cause(pod(build=ended(2), collect=RUNNING)) is None
    assert cause(pod(build=RUNNING, collect=RUNNING)) is None


def test_what_is_proven_stays_proven_whatever_becomes_of_the_pod() -> None:
    done = pod(build=ended(), collect=ended(message=PROVEN), phase="Failed", **DISRUPTED)
    assert cause(done) is Cause.DONE
    assert cause(done, deleted=True) is Cause.DONE


def test_an_agent_that_failed_has_proven_nothing() -> None:
    assert answer_of(pod(build=ended(), collect=ended(1, message=PROVEN))) is None
    assert answer_of(pod(build=ended(), collect=ended(message="{}"))) is None


@pytest.mark.parametrize(
    ("found", "event", "words"),
    [
        (pod(build=ended(2), collect=answered(EndedAnswer())), Broke, "make failed with exit code 2"),
        (
            pod(build=ended(137, reason="OOMKilled"), collect=answered(EndedAnswer())),
            OutOfMemory,
            "for want of memory",
        ),
        (
            pod(build=ended(), collect=answered(UnprovenAnswer("make built no a-1-r0.apk"))),
            Broke,
            "built no a-1-r0.apk",
        ),
        (pod(build=ended(), collect=ended(1, message="the disk is full")), Faulted, "disk is full"),
        (pod(build=RUNNING, collect=RUNNING, **DISRUPTED), Faulted, "stopped answering"),
        (
            pod(build=RUNNING, reason="Evicted", message="low on disk", phase="Failed"),
            Faulted,
            "evicted",
        ),
        (
            pod(build=RUNNING, reason="DeadlineExceeded", phase="Failed"),
            Broke,
            "took longer",
        ),
        (pod(prepare=ended(3, message="a is gone")), Faulted, "a is gone"),
        (pod(prepare=ended(1, message="b is another")), Broke, "b is another"),
    ],
)  # fmt: skip
def test_each_failure_is_what_it_was(found: Json, event: type, words: str) -> None:
    ending = how_attempt_ended(PodFacts(found))
    assert ending is not None
    failure = failure_of("a", 1, (ending, found), lines=["last"], lacking={})
    assert type(failure) is event
    assert words in failure.cause
    assert failure.lines == ("last",)


SHORT = (
    "The node was low on resource: {}. Threshold quantity: 2Gi, available: 1Gi. Container build was using"
    " 5Gi, request is 1Gi, has larger consumption of {}. "
)


@pytest.mark.parametrize(
    ("message", "wants"),
    [
        (SHORT.format("ephemeral-storage", "ephemeral-storage"), True),
        (SHORT.format("memory", "memory"), False),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 300Mi. ", False),
        ('Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". ', False),
    ],
)
def test_more_disk_is_asked_for_if_the_node_ran_short_of_it(message: str, wants: bool) -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
    conditions = [condition] if message.startswith("The node") else []
    found = pod(
        build=RUNNING, reason="Evicted", message=message, phase="Failed", conditions=conditions
    )
    ending = how_attempt_ended(PodFacts(found))
    assert ending is not None
    assert ending.message == f"the node evicted the pod: {message.strip()}"
    failure = failure_of("a", 1, (ending, found), lines=[], lacking={})
    assert isinstance(failure, Faulted)
    assert failure.wants_disk is wants


def test_a_pod_that_somebody_deleted_is_a_fault() -> None:
    found = pod(build=RUNNING, collect=RUNNING)
    ending = how_attempt_ended(PodFacts(found, deleted=True))
    assert ending is not None
    assert isinstance(failure_of("a", 1, (ending, found), lines=(), lacking={}), Faulted)


@pytest.mark.parametrize(
    ("reason", "status", "disrupted"),
    [
        ("PreemptionByScheduler", "", True),
        ("EvictionByEvictionAPI", "", True),
        ("DeletionByTaintManager", "", True),
        ("DeletionByPodGC", "", True),
        ("TerminationByKubelet", "Terminated", True),  # its node shuts down, as one of --spot does
        ("TerminationByKubelet", "Preempting", True),
        ("TerminationByKubelet", "Evicted", False),
    ],
)
def test_what_is_not_the_pods_own_doing_is_a_disruption(
    reason: str, status: str, disrupted: bool
) -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason}
    found = pod(build=RUNNING, collect=RUNNING, conditions=[condition], reason=status)
    ending = how_attempt_ended(PodFacts(found))
    assert ending is not None
    failure = failure_of("a", 1, (ending, found), lines=(), lacking={})
    assert isinstance(failure, Faulted)
    assert failure.disrupted is disrupted


def test_a_build_that_nobody_waits_for_any_more_is_given_up() -> None:
    found = pod(build=RUNNING, collect=ended(137, reason="OOMKilled"))
    ending = how_attempt_ended(PodFacts(found))
    assert ending is not None
    failure = failure_of("a", 1, (ending, found), lines=(), lacking={})
    assert isinstance(failure, Faulted)
    assert "the agent failed: OOMKilled" in failure.cause


def test_a_build_that_lacked_a_known_name_waits_for_it() -> None:
    found = pod(build=ended(2), collect=answered(EndedAnswer()))
    ending = how_attempt_ended(PodFacts(found))
    assert ending is not None
    lines = ['solving "so:libz.so.1" constraint: nothing provides it']
    failure = failure_of("a", 1, (ending, found), lines=lines, lacking={"so:libz.so.1": "b"})
    assert isinstance(failure, Lacked)
    assert failure.names == ("so:libz.so.1",)


@pytest.mark.parametrize("packages", [1, 100])
def test_a_record_comes_whole_in_a_message_or_on_the_log(packages: int) -> None:
    record = Record(
        name="a",
        version="1-r0",
        key="2" * 64,
        fingerprint="",
        seconds=1.0,
        built=tuple(Built(apk=_apk(number)) for number in range(packages)),
    )
    answer, rest = answer_for(record, results=1, built=True)
    message = encode_answer(answer)
    assert len(message) <= SHARE
    assert bool(rest) == (packages > 1)
    read = decode_answer(message.decode())
    assert isinstance(read, ProvenAnswer)
    assert record_of(read, [NOTE, *rest]) == record  # what the agent says besides is there, too


@pytest.mark.parametrize("letter", ["a", "\0", "ä", "😀", '"'])
def test_a_long_reason_is_cut_so_that_it_is_read_whatever_it_is_made_of(letter: str) -> None:
    message = encode_answer(UnprovenAnswer(letter * 5000))
    assert len(message) <= SHARE
    answer = decode_answer(message.decode())
    assert isinstance(answer, UnprovenAnswer)
    assert len(answer.why) > 100
    assert set(answer.why) == {letter}


def _apk(number: int) -> Apk:
    return Apk(
        name=f"a-{number}",
        version="1-r0",
        arch="x86_64",
        origin="a",
        depends=(),
        provides=(),
        installed_size=7,
        data_hash=hashlib.sha256(b"%d" % number).hexdigest(),
        sha256=hashlib.sha256(b"control %d" % number).hexdigest(),
        size=12,
        stanza=f"P:a-{number}\nV:1-r0",
    )


@pytest.mark.parametrize(
    ("status", "cause", "message"),
    [
        ({"phase": "Pending"}, None, ""),
        ({"phase": "Failed", "message": "the node was low on disk"}, Cause.START, "the node was low on disk"),
        ({"phase": "Failed"}, Cause.START, "it ended without a word"),
        ({"phase": "Succeeded"}, Cause.START, "it ended without a word"),
        ({"phase": "Failed", "reason": "OutOfcpu"}, Cause.START, "OutOfcpu"),
        ({"phase": "Running", **DISRUPTED}, Cause.NODE_LOST, "node node-a stopped answering"),
        ({"phase": "Running", "reason": "Terminated", "message": "soon"}, Cause.NODE_LOST, "node node-a shut down: soon"),
        ({"exitCode": 0}, Cause.DONE, "done"),
        ({"exitCode": 3, "message": "the store is gone\n"}, Cause.START, "the store is gone"),
        ({"exitCode": 3}, Cause.START, "exit code 3"),
        ({"exitCode": 143, "conditions": [DRAINED]}, Cause.EVICTED, "the pod was evicted (a drain of node node-a?)"),
        ({"exitCode": 0, "conditions": [DRAINED]}, Cause.DONE, "done"),
        ({"phase": "Running", "conditions": [LOST]}, Cause.NODE_LOST, "node node-a stopped answering"),
    ],
)  # fmt: skip
def test_how_a_pod_of_the_agent_alone_ended(
    status: Json, cause: Cause | None, message: str
) -> None:
    states = {"name": "driver", "state": {"terminated": status}}
    told = {**status, "containerStatuses": [states]} if "exitCode" in status else status
    spec = {"nodeName": "node-a", "containers": [{"name": "driver"}]}
    ending = how_agent_ended("driver", PodFacts({"spec": spec, "status": told}))
    assert (ending and ending.cause, ending.message if ending else "") == (cause, message)


def test_what_the_agent_says_to_do_is_told_of_a_pod_of_its_own_and_of_a_unit() -> None:
    said = ended(3, message=encode_last_words("the store is gone", "mount it"))
    states = {"name": "driver", "state": said}
    alone = {
        "spec": {"containers": [{"name": "driver"}]},
        "status": {"containerStatuses": [states]},
    }
    ending = how_agent_ended("driver", PodFacts(alone))
    assert (ending and ending.message, ending and ending.hint) == ("the store is gone", "mount it")
    found = pod(build=ended(), collect=said)
    of_unit = how_attempt_ended(PodFacts(found))
    assert of_unit is not None
    failure = failure_of("a", 1, (of_unit, found), lines=(), lacking={})
    assert isinstance(failure, Faulted)
    assert failure.cause == "the agent failed: the store is gone (mount it)"
