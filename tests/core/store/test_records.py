"""Records of finished units: what was written is read, and an error says what else is no record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dag.core.decoding import NotJson, Undecodable
from dag.core.package.apk import Apk
from dag.core.store.format1 import decode_old_record
from dag.core.store.records import (
    Built,
    Inputs,
    Record,
    RepositoryPackage,
    decode_record,
    encode_record,
)

APK = Apk(
    name="a",
    version="1-r0",
    arch="x86_64",
    origin="a",
    depends=("b",),
    provides=("so:x=1",),
    installed_size=7,
    data_hash="d" * 64,
    sha256="0f" * 32,
    size=12,
    stanza="P:a\nV:1-r0",
)
RECORD = Record(
    name="a",
    version="1-r0",
    key="ab" * 32,
    fingerprint="f",
    inputs=Inputs(
        own="x", environment={"z": "cd" * 32}, repository=(RepositoryPackage("r", "1", "Q1"),)
    ),
    epoch=3,
    seconds=1.5,
    memory=5,
    log="logs/x86_64/a.log",
    built=(Built(apk=APK, requires=("z",)),),
)
WRITTEN = Path(__file__).with_name("record-2.json").read_bytes()
OLD = Path(__file__).with_name("record-0.1.0.json").read_bytes()


def test_what_was_written_is_read() -> None:
    assert decode_record(WRITTEN) == RECORD
    assert decode_record(encode_record(RECORD)) == RECORD


def test_what_version_0_1_0_wrote_is_read_as_that() -> None:
    old = decode_old_record(OLD)
    assert (old.name, old.version, old.fingerprint, old.seconds) == ("a", "1-r0", "f", 1.5)
    assert (old.built[0].apk.file, old.built[0].requires) == ("a-1-r0.apk", ("z",))
    with pytest.raises(Undecodable, match="format is wrong"):
        decode_record(OLD)


def test_the_result_is_what_came_out_and_the_key_what_went_in() -> None:
    other = msgspec.structs.replace(RECORD, seconds=9, key="cd" * 32, log="")
    assert other.result == RECORD.result
    changed = Built(apk=replace(APK, sha256="00" * 32))
    assert msgspec.structs.replace(RECORD, built=(changed,)).result != RECORD.result
    inputs = Inputs(own="x", environment={"a": "1", "b": "2"})
    assert inputs.key == Inputs(own="x", environment={"b": "2", "a": "1"}).key
    assert inputs.key != Inputs(own="x", environment={"a": "1", "b": "3"}).key
    assert inputs.key != msgspec.structs.replace(inputs, melange="0.56.0").key


def test_keys_of_before_records_told_of_their_melange_are_the_same() -> None:
    inputs = Inputs(own="1" * 64, environment={"b": "2" * 64, "a": "3" * 64}, dropped=("x",))
    assert inputs.key == "15cd10bf8226ac3437de72305480d28366bad35681a87ea4678e4785cab90935"


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(WRITTEN) | fields).encode()


def built(**fields: Any) -> bytes:
    (one,) = json.loads(WRITTEN)["built"]
    return changed(built=[{**one, "apk": one["apk"] | fields}])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(name=7), "name is `int`, but should be `str`"),
        (changed(built=[{}]), "built[0] lacks the field `apk`"),
        (changed(format=3), "format is wrong: invalid value 3"),
        (changed(seconds=-1), "seconds is wrong: expected `float` >= 0.0"),
        (built(size="12"), "built[0].apk.size is `str`, but should be `int`"),
        (built(name="../../etc/x"), "built[0].apk.name is wrong: expected `str` matching regex"),
        (b"[]", "the whole is `array`, but should be `object`"),
        (b'{"format":2,"built":' + b"[" * 200_000, "built[0] is `array`, but should be `object`"),
        (b'{"x":' + b"[" * 200_000, "it is nested too deeply"),
    ],
)
def test_another_shape_is_refused_in_words(data: bytes, message: str) -> None:
    with pytest.raises(Undecodable) as caught:
        decode_record(data)
    assert message in str(caught.value)


@pytest.mark.parametrize("data", [b"", WRITTEN[:-20], b"\xff", b'{"name": "\xff"}'])
def test_half_of_a_record_is_not_json(data: bytes) -> None:
    with pytest.raises(NotJson, match="it is not JSON"):
        decode_record(data)
