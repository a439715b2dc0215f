"""What a driver is told is read as it was written, and nothing that no client would tell it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.build.directoryfacts import DirectoryFacts, hash_of_inputs
from dag.core.build.events import ComputeResources
from dag.core.decoding import Undecodable
from dag.core.flagtexts import texts_of
from dag.core.jobs.capacity import ClusterCapacity, NodeCapacity
from dag.core.jobs.handover import (
    DriverEnd,
    Handover,
    decode_end,
    decode_handover,
    encode_end,
    encode_handover,
    mark_of,
)
from dag.core.jobs.history import MOST_WORDS
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.packing import pack_words
from dag.core.package.problems import FileProblem
from dag.errors import UsageError

DIGEST = "a" * 64
IMAGE = f"registry.example.com/dag@sha256:{DIGEST}"
FACTS = DirectoryFacts(epochs={}, refused={}, inputs=DIGEST)
FLAGS = texts_of(UnitBuildOptions(on="kubernetes", store="pvc://packages", wait=True))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


def handover(**changes: object) -> Handover:
    fields: dict[str, object] = {
        "run": "20260101-000000-000abc",
        "client": "c" * 32,
        "job": "dag-driver",
        "agent": IMAGE,
        "bundle": IMAGE,
        "flags": FLAGS,
        "facts": {"x86_64": FACTS},
    }
    return Handover(**{**fields, **changes})  # type: ignore[arg-type]


facts = st.builds(
    DirectoryFacts,
    epochs=st.dictionaries(TEXTS, st.integers(0, 2**33), max_size=4),
    refused=st.dictionaries(
        TEXTS,
        st.lists(st.builds(FileProblem, TEXTS, st.integers(0, 99), TEXTS, TEXTS)).map(tuple),
        max_size=2,
    ),
    inputs=st.just(DIGEST),
)


NODE = NodeCapacity("node-a", ComputeResources(4000, 8 << 30, 1 << 40))


@given(facts, st.lists(st.just(NODE), max_size=2).map(tuple).map(ClusterCapacity))
def test_a_handover_is_read_as_it_was_written(
    told: DirectoryFacts, capacity: ClusterCapacity
) -> None:
    whole = handover(facts={"x86_64": told}, capacity={"x86_64": capacity})
    assert decode_handover(encode_handover(whole)) == whole
    assert whole.options() == UnitBuildOptions(on="kubernetes", store="pvc://packages", wait=True)


@given(st.binary(max_size=200))
def test_other_words_are_refused(data: bytes) -> None:
    for words in (pack_words(data), [data.decode("latin-1")]):
        with pytest.raises(Undecodable):
            decode_handover(words)


@pytest.mark.parametrize(
    "changes",
    [
        {"run": "../20260101"},
        {"run": ""},
        {"client": ""},
        {"agent": "registry.example.com/dag:latest"},
        {"bundle": f"a b@sha256:{DIGEST}"},
        {"flags": {"nonsense": ("1",)}},
        {"flags": {**FLAGS, "jobs": ("-1",)}},
        {"flags": {**FLAGS, "arch": ("aarch64",)}},
        {"facts": {}},
        {"facts": {"x86_64": FACTS, "amd64": FACTS}},
        {"facts": {"x86_64": {"epochs": {}, "refused": {}, "inputs": "1"}}},
    ],
)
def test_what_no_client_hands_over_is_refused(changes: dict[str, object]) -> None:
    told = {**msgspec.to_builtins(handover()), **changes}
    with pytest.raises(Undecodable):
        decode_handover(pack_words(msgspec.msgpack.encode(told)))


def test_3401_definitions_are_handed_over_in_a_fraction_of_what_etcd_takes() -> None:
    epochs = {f"some-library-{n}": 1_700_000_000 + n * 7919 for n in range(3401)}
    told = DirectoryFacts(epochs=epochs, refused={}, inputs=DIGEST)
    words = encode_handover(handover(facts={"x86_64": told}))
    assert sum(map(len, words)) < MOST_WORDS // 10


def test_what_no_job_takes_is_refused_before_it_is_made() -> None:
    epochs = {DirectoryFacts.__name__ + str(hash_of_inputs({str(n): ""})): n for n in range(20_000)}
    told = DirectoryFacts(epochs=epochs, refused={}, inputs=DIGEST)
    with pytest.raises(UsageError, match="too long for a Job"):
        encode_handover(handover(facts={"x86_64": told}))


@given(st.integers(0, 255), st.text(max_size=9000), st.text(max_size=5000))
def test_how_a_run_ended_is_kept_by_a_node(code: int, words: str, hint: str) -> None:
    told = encode_end(DriverEnd(exit_code=code, words=words, hint=hint))
    assert len(told.encode()) <= 2000
    end = decode_end(told)
    assert end.exit_code == code
    assert words.startswith(end.words)
    assert hint.startswith(end.hint)
    assert bool(hint) == bool(end.hint)


@pytest.mark.parametrize("message", ["", "the store is gone", '{"exit_code": 256}', "{}"])
def test_other_last_words_are_none_of_a_driver(message: str) -> None:
    with pytest.raises(Undecodable):
        decode_end(message)


def test_another_bundle_or_flag_is_another_driver() -> None:
    marks = {mark_of("a", FLAGS), mark_of("b", FLAGS), mark_of("a", {**FLAGS, "jobs": ("2",)})}
    assert len(marks) == 3
