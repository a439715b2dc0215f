"""Requests to a signer: read as they were signed, by whom, and what they attest together."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from functools import cache

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dag.core.decoding import Undecodable
from dag.core.limits import SIGNING_REQUEST, TooLarge
from dag.core.package.signature import PublicKey
from dag.core.store.attested import Attestations, decode_attested, encode_attested
from dag.core.store.layout import answer_name, read_request_name, request_name
from dag.core.store.records import Record
from dag.core.store.requests import (
    SigningRequest,
    decode_request,
    encode_request,
    facts_of,
    fingerprint_of,
    request_unit,
)
from tests.core.jobs.test_listing import digest, record


@cache
def private(number: int = 0) -> rsa.RSAPrivateKey:
    """Return a key; for each number another one."""
    assert number >= 0
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(number: int = 0) -> PublicKey:
    numbers = private(number).public_key().public_numbers()
    return PublicKey(numbers.n, numbers.e)


def sign(digest: bytes, number: int = 0) -> bytes:
    return private(number).sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))


def request(*records: Record, number: int = 0, seen: bool = True) -> SigningRequest:
    return SigningRequest(
        id=f"20260829-141200-{number:06x}",
        run="",
        arch="x86_64",
        store="0" * 32,
        units=tuple(request_unit(one, is_attested=seen) for one in records),
    )


def test_it_is_read_as_it_was_signed_by_any_key_that_is_trusted() -> None:
    made = request(record(1), record(2))
    data = encode_request(made, sign)
    assert decode_request(data, [public(1), public()]) == (made, fingerprint_of(public()))
    for keys in ([], [public(1)]):
        with pytest.raises(Undecodable, match="no engine that is trusted"):
            decode_request(data, keys)


@given(st.integers(0, 1 << 32))
def test_no_byte_of_it_can_be_changed(seed: int) -> None:
    made = request(record(1))
    data = bytearray(encode_request(made, sign))
    place = random.Random(seed).randrange(len(data))
    data[place] ^= 1 << random.Random(seed + 1).randrange(8)
    try:
        found, _ = decode_request(bytes(data), [public()])
    except Undecodable:
        return
    assert found == made  # what was changed says nothing, such as the last bits of base64


def test_a_signature_for_something_else_is_none_for_a_request() -> None:
    """An index that the key has signed cannot be turned into a request: what is signed differs."""
    body = msgspec.json.encode(request(record(1)))
    plain = sign(hashlib.sha256(body).digest())
    data = msgspec.json.encode({"body": body, "signature": plain})
    with pytest.raises(Undecodable, match="no engine that is trusted"):
        decode_request(data, [public()])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "../../x86_64/a"),
        ("arch", "../x86_64"),
        ("store", "/etc"),
        ("name", "../../x86_64"),
        ("name", "a/b"),
        ("version", "../1-r0"),
        ("key", "0" * 63),
        ("result", "../" + "0" * 61),
    ],
)
def test_names_that_lead_elsewhere_are_refused_although_they_are_signed(
    field: str, value: str
) -> None:
    made = request(record(1))
    if field in ("id", "arch", "store"):
        made = replace(made, **{field: value})
    else:
        made = replace(made, units=(replace(made.units[0], **{field: value}),))
    with pytest.raises(Undecodable):
        decode_request(encode_request(made, sign), [public()])


@pytest.mark.long
def test_one_that_no_signer_would_take_is_not_made() -> None:
    many = request(*[record(1)] * (SIGNING_REQUEST.most // 300))
    with pytest.raises(TooLarge):
        encode_request(many, lambda _: b"")


def another(one: Record, number: int) -> Record:
    """Return a record of the same version with another result."""
    (built, *rest) = one.built
    changed = replace(built, apk=dataclasses.replace(built.apk, sha256=digest(f"other {number}")))
    return replace(one, built=(changed, *rest))


@given(st.permutations(range(4)), st.integers(0, 4))
def test_the_newest_attestation_of_a_version_counts_in_whichever_order_they_are_read(
    order: list[int], unattested: int
) -> None:
    results = [another(record(1), number) for number in range(4)]
    attested = Attestations()
    for number in order:
        attested.add(request(results[number], number=number, seen=number != unattested), "0" * 64)
    newest = 2 if unattested == 3 else 3
    assert [attested.accepts(one) for one in results] == [n == newest for n in range(4)]
    units = [request_unit(one, is_attested=False) for one in results]
    whys = [attested.why_not(unit) for unit in units]
    assert [not why for why in whys] == [n == newest for n in range(4)]
    assert not attested.accepts(record(2))
    assert "no request has attested it" in attested.why_not(
        request_unit(record(2), is_attested=True)
    )


def test_what_an_index_says_is_attested_and_how_long_a_build_took_is_not() -> None:
    one = record(1)
    assert facts_of(replace(one, seconds=99.0, log="elsewhere")) == facts_of(one)
    assert facts_of(replace(one, key=digest("other"))) != facts_of(one)
    assert facts_of(another(one, 1)) != facts_of(one)


def test_requests_and_answers_have_names_of_their_own() -> None:
    made = request(record(1))
    assert read_request_name(request_name(made.id, "x86_64"), "x86_64") == made.id
    for name in (
        answer_name(made.id, "x86_64"),
        request_name(made.id, "aarch64"),
        "requests/x/x86_64.json",
        f"requests/{made.id}/../x86_64.json",
        f"requests/{made.id}/x86_64.json\n",
    ):
        assert read_request_name(name, "x86_64") is None


@pytest.mark.long
def test_a_signer_remembers_no_more_than_it_can_read_again() -> None:
    attested, engine = Attestations(), "0" * 64
    unit = request_unit(record(1), is_attested=True)
    made = request(record(1))

    def many(first: int, number: int) -> SigningRequest:
        units = (replace(unit, name=f"{one:0250}") for one in range(first, first + number))
        return replace(made, units=tuple(units))

    attested.add(many(0, 70_000), engine)
    with pytest.raises(TooLarge, match="which is the limit of what a signer remembers"):
        attested.add(many(70_000, 10_000), engine)
    assert len(attested.units) == 70_000
    attested.add(many(0, 10_000), engine)  # that is nothing new
    data = encode_attested(attested, "x86_64", "0" * 32, sign)
    assert len(decode_attested(data, "x86_64", "0" * 32, public(), []).units) == 0
    attested.keep({f"{one:0250}" for one in range(60_000)})
    attested.add(many(70_000, 10_000), engine)
    assert len(attested.units) == 70_000
