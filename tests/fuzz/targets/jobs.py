"""Parsers of what clients, agents and the API tell each other of Jobs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dag.core.decoding import Undecodable
from dag.core.jobs.answers import ProvenAnswer, decode_answer, record_of
from dag.core.jobs.ending import failure_of, how_attempt_ended
from dag.core.jobs.history import decode_files
from dag.core.jobs.lease import cancelled_in, read_lease
from dag.core.jobs.listing import decode_listing, decode_published
from dag.core.jobs.names import attempt_of
from dag.core.jobs.order import decode_order, decode_texts
from dag.core.jobs.packing import lines_of_words, pack_words
from dag.core.jobs.standing import standings_of
from dag.core.pod.ending import PodFacts
from dag.errors import InfrastructureError
from dag.run.agent.prepare import read_prepared
from dag.run.jobs.replica import fill_replica, open_replica
from tests.fuzz.targets.common import ARCH, parts_of, target, text_of


def _words(data: bytes) -> list[list[str]]:
    """Return bytes as somebody has sent them, and as what somebody has packed."""
    return [text_of(data).split("\n"), pack_words(data)]


@target
def agent_answer(data: bytes) -> None:
    message, log = parts_of(data, 2)
    with suppress(Undecodable):
        answer = decode_answer(message)
        if isinstance(answer, ProvenAnswer):
            record_of(answer, log.split("\n"))
    with suppress(Undecodable):
        decode_published(message)


@target
def packed_record(data: bytes) -> None:
    answer = ProvenAnswer(result="0" * 64, key="1" * 64, results=1, built=True)
    for words in _words(data):
        with suppress(Undecodable):
            record_of(answer, lines_of_words(words))


@target
def unit_order(data: bytes) -> None:
    for words in _words(data):
        with suppress(Undecodable):
            decode_texts(words)
        with suppress(Undecodable):
            order = decode_order(words)
            assert len(order.key) == 64
            assert order.platform.apk
            order.served_packages()


@target
def store_listing(data: bytes) -> None:
    """Read what an agent tells of a store, and make a store of it; nothing leaves its directory."""
    for words in _words(data):
        with suppress(Undecodable):
            listing = decode_listing(lines_of_words(words))
            with TemporaryDirectory() as place:
                store = open_replica(Path(place, "s"), ARCH, wait=False, say=lambda _: None)
                try:
                    with suppress(InfrastructureError):
                        fill_replica(store, listing, lambda _: None)
                finally:
                    store.close()
                assert [path.name for path in Path(place).iterdir()] == ["s"]


@target
def run_files(data: bytes) -> None:
    for words in _words(data):
        with suppress(Undecodable):
            decode_files(words)


@target
def prepared_unit(data: bytes) -> None:
    with TemporaryDirectory() as place, suppress(InfrastructureError):
        Path(place, "prepared.json").write_bytes(data)
        read_prepared(Path(place))


@target
def driver_note(data: bytes) -> None:
    """Read a Lease that somebody has written on, what he has cancelled included."""
    note, cancelled, holder = parts_of(data, 3)
    lease = read_lease(
        {
            "metadata": {
                "resourceVersion": "1",
                "annotations": {"dag/driver": note, "dag/cancel": cancelled},
            },
            "spec": {"holderIdentity": holder},
        }
    )
    cancelled_in(lease, lease.note.run)
    standings_of({"x86_64": lease}, [], [], cancelled)


@target
def job_and_pod(data: bytes) -> None:
    """Judge a Job that somebody has made with our labels, and what its containers say."""
    number, package, message, reason, log = parts_of(data, 5)
    code = len(number) % 256
    job: dict[str, Any] = {
        "metadata": {
            "name": "j",
            "labels": {"dag/run": number, "dag/arch": "x86_64"},
            "annotations": {"dag/package": package, "dag/attempt": number, "dag/bundle": "b"},
        }
    }
    ended = {"exitCode": code, "message": message, "reason": reason}
    names = ("build", "collect")
    pod: dict[str, Any] = {
        "metadata": {"name": "p", "labels": {"batch.kubernetes.io/job-name": "j"}},
        "spec": {
            "initContainers": [{"name": "prepare"}],
            "containers": [{"name": name} for name in names],
        },
        "status": {
            "phase": "Failed",
            "reason": reason,
            "message": message,
            "containerStatuses": [{"name": name, "state": {"terminated": ended}} for name in names],
        },
    }
    attempt_of(job)
    standings_of({}, [job], [pod])
    facts = PodFacts(pod)
    ending = how_attempt_ended(facts)
    if ending is not None:
        failure_of("a-1", 1, (ending, pod), lines=log.split("\n"), lacking={package: "a"})
