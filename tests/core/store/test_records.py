"""Records of finished units: what was written is read, and an error says what else is no record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dag.core.decoding import NotJson, Undecodable
from dag.core.package.apk import Apk
from dag.core.store.records import Built, Record, decode_record, encode_record

APK = Apk(
    name="a",
    version="1-r0",
    arch="x86_64",
    origin="a",
    depends=("b",),
    provides=("so:x=1",),
    sha256="00ff",
    size=12,
    stanza="P:a\nV:1-r0",
)
RECORD = Record(
    name="a",
    version="1-r0",
    fingerprint="f",
    seconds=1.5,
    built=(Built(apk=APK, requires=("z",)),),
)
WRITTEN = Path(__file__).with_name("record-0.1.0.json").read_bytes()


def test_what_version_0_1_0_wrote_is_read() -> None:
    assert decode_record(WRITTEN) == RECORD
    assert decode_record(encode_record(RECORD)) == RECORD


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
        (changed(format=2), "format is wrong: invalid value 2"),
        (changed(seconds=-1), "seconds is wrong: expected `float` >= 0.0"),
        (built(size="12"), "built[0].apk.size is `str`, but should be `int`"),
        (built(name="../../etc/x"), "built[0].apk.name is wrong: expected `str` matching regex"),
        (b"[]", "the whole is `array`, but should be `object`"),
        (b'{"format":1,"built":' + b"[" * 200_000, "built[0] is `array`, but should be `object`"),
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
