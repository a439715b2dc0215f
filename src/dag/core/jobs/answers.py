"""What the agent of a Job answers: its last words are JSON in the container's termination message."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from dag.core.build.usage import Usage
from dag.core.decoding import Undecodable, decode
from dag.core.jobs.packing import lines_of_words, pack_words, unpack_words, words_of_lines
from dag.core.limits import RECORD
from dag.core.store.records import Record, decode_record, encode_record

MESSAGE = 4096
"""Bytes; the kubelet keeps no more of a termination message."""
ROOM = 1000
"""Bytes of an answer. The messages of all containers of a Pod get 12 KiB in equal parts, and others may
put containers of their own into a Pod: twelve leave 1 KiB to each. An answer that is cut is lost.
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/"""


class _Answer(Struct, frozen=True, kw_only=True):
    used: Usage | None = None
    """What the build took, if there was one and it came to say that."""


class ProvenAnswer(_Answer, frozen=True, tag="proven"):
    """The unit is proven, and the store has it."""

    result: str
    """The hash of what came out: that of the record."""
    key: str
    results: int
    """How many different results the store has of just what went into the unit."""
    built: bool
    """False if the store had a record of just that, so that nothing was built."""
    record: str = ""
    """The record, without its environment and packed; empty if that is on the container's log,
    because it is too long."""


class UnprovenAnswer(_Answer, frozen=True, tag="unproven"):
    """The build ended well and did not make what the definition promises."""

    why: str


class EndedAnswer(_Answer, frozen=True, tag="ended"):
    """The build did not end well: what happened, its container's status tells."""


AgentAnswer = ProvenAnswer | UnprovenAnswer | EndedAnswer
_ANSWER: msgspec.json.Decoder[AgentAnswer] = msgspec.json.Decoder(AgentAnswer)


def without_environment(record: Record) -> Record:
    """Return a record without the packages that its unit was built with.

    They are most of it, hashes that nothing makes smaller, and neither planning nor a run needs them.
    The key, which covers them, stays. So an answer fits into a message, and a store's into a log.
    """
    inputs = record.inputs
    if inputs is not None:
        inputs = msgspec.structs.replace(inputs, environment={}, repository=())
    return msgspec.structs.replace(record, inputs=inputs, served={})


def answer_for(
    record: Record, *, results: int, built: bool, used: Usage | None = None
) -> tuple[ProvenAnswer, list[str]]:
    """Return the answer for a record, and what has to be written on the log: the rest of it."""
    words = pack_words(encode_record(without_environment(record)))
    answer = ProvenAnswer(record.result, record.key, results, built, used=used)
    whole = msgspec.structs.replace(answer, record="".join(words))
    if len(msgspec.json.encode(whole)) <= ROOM:
        return whole, []
    return answer, lines_of_words(words)


def encode_answer(answer: AgentAnswer) -> bytes:
    """Return an answer as JSON that a termination message takes."""
    data = msgspec.json.encode(answer)
    while isinstance(answer, UnprovenAnswer) and (over := len(data) - ROOM) > 0:
        # No character has more than 6 bytes there.
        answer = msgspec.structs.replace(answer, why=answer.why[: -(over // 6 + 1)])
        data = msgspec.json.encode(answer)
    return data


def decode_answer(message: str) -> AgentAnswer:
    """Return the answer in a termination message.

    Raises:
        Undecodable: it is something else.

    """
    return decode(_ANSWER, message.encode(), limit=MESSAGE)


def record_of(answer: ProvenAnswer, log: list[str]) -> Record:
    """Return the record of an answer; `log` are the lines of the container, if it is there.

    Raises:
        Undecodable: it is something else than what the answer names.

    """
    words = [answer.record] if answer.record else words_of_lines(log)
    record = decode_record(unpack_words(words, RECORD))
    if (record.result, record.key) != (answer.result, answer.key):
        raise Undecodable("it is another record than the agent named")
    return record
