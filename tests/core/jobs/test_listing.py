"""What an agent tells of a store is read as it was written, and a distribution's fits into a log."""

from __future__ import annotations

import hashlib

import pytest

from dag.core.decoding import Undecodable
from dag.core.jobs.answers import MESSAGE, without_environment
from dag.core.jobs.listing import (
    PublishAnswer,
    StoreListing,
    decode_listing,
    decode_published,
    encode_listing,
    encode_published,
    require_path,
)
from dag.core.package.apk import Apk
from dag.core.store.records import Built, Inputs, Record, encode_record

LOG = 10 << 20
"""Bytes of a container's log that a node keeps as one file."""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def record(number: int) -> Record:
    """Return the record of a unit with two packages and an environment of a hundred."""
    names = (f"package-{number}", f"package-{number}-dev")
    return Record(
        name=names[0],
        version="1.2.3-r4",
        key=digest(f"key {number}"),
        fingerprint=digest(f"print {number}"),
        inputs=Inputs(own=digest(f"own {number}"), environment={f"needed-{n}": digest(f"{number} {n}") for n in range(100)}),
        epoch=1_700_000_000 + number,
        seconds=number / 7,
        served={f"there-{n}": digest(f"{number} there {n}") for n in range(100)},
        built=tuple(
            Built(
                apk=Apk(
                    name=name,
                    version="1.2.3-r4",
                    arch="x86_64",
                    origin=names[0],
                    depends=("so:libc.so.6", f"so:lib{number}.so.1"),
                    provides=(f"cmd:tool-{number}=1.2.3-r4",),
                    installed_size=number * 1009,
                    data_hash=digest(f"data {name}"),
                    sha256=digest(name),
                    size=number * 997,
                    stanza=f"C:Q1{digest(name)[:27]}=\nP:{name}\nV:1.2.3-r4\nT:What package {number} is for\n",
                )
            )
            for name in names
        ),
    )  # fmt: skip


def listing(count: int) -> StoreListing:
    found = (without_environment(record(number)) for number in range(count))
    return StoreListing(
        objects={f"records/x86_64/{one.name}/{one.key}/{one.result}.json": encode_record(one) for one in found},
        ram={"package-1": 1 << 32},
    )  # fmt: skip


def test_a_listing_is_read_as_it_was_written() -> None:
    lines = encode_listing(listing(3))
    notes = ["dag: $RCLONE_S3_ENDPOINT is read as $AWS_ENDPOINT_URL"]
    assert decode_listing([*notes, *lines, *notes]) == listing(3)


def test_a_record_without_its_environment_has_the_name_of_the_whole_one() -> None:
    whole = record(1)
    short = without_environment(whole)
    assert (short.key, short.result, short.files) == (whole.key, whole.result, whole.files)
    assert not any(name.encode() in encode_record(short) for name in ("needed-7", "there-7"))


def test_the_records_of_a_distribution_fit_into_a_log() -> None:
    lines = encode_listing(listing(340))
    assert sum(map(len, lines)) * 10 < LOG  # Wolfi has 3,401 definitions


def test_half_a_listing_is_refused() -> None:
    (line,) = encode_listing(listing(3))
    with pytest.raises(Undecodable):
        decode_listing([line[: len(line) // 2]])


@pytest.mark.parametrize(
    "name", ["", "/a", "a//b", "a/../b", "a/.", "a\0b", "é" * 128, "/".join(["a" * 200] * 11)]
)
def test_what_no_file_below_a_directory_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(Undecodable, match="is no name of a file"):
        require_path(name)
    assert require_path("runs/20261130-172922-7334ce/x86_64/logs/a.log")


def test_an_answer_fits_into_a_termination_message_whatever_is_refused() -> None:
    unsigned = PublishAnswer(published=7, unsigned=digest("index"))
    few = {"lib": "/dag-store/.dag/blobs/sha256/HEX, which is lib 1-r0, is damaged"}
    assert decode_published(encode_published(unsigned, few).decode()).refused == few
    many = {f"package-{n}": "x" * 3000 for n in range(500)}
    data = encode_published(unsigned, many)
    assert len(data) <= MESSAGE
    answer = decode_published(data.decode())
    assert answer.unsigned == unsigned.unsigned
    assert 1 <= len(answer.refused) < 500
