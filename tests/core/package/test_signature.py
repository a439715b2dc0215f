"""Signatures of indexes: what openssl made is right, and nothing else is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.package.signature import (
    PublicKey,
    Signature,
    read_public_key,
    read_signature,
    verify,
)
from tests.support.signing import SigningKey

DATA = b"what is signed"
HASHES = {"sha1": hashlib.sha1(DATA).digest(), "sha256": hashlib.sha256(DATA).digest()}
NAME = "test.rsa.pub"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey(tmp_path_factory.mktemp("key"))


def public(key: SigningKey) -> PublicKey:
    found = read_public_key(key.public.read_bytes())
    assert found is not None
    return found


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_a_signature_of_openssl_is_right_for_its_key_alone(
    key: SigningKey, digest: str, tmp_path: Path
) -> None:
    right = Signature(NAME, digest, key.sign(DATA, digest))
    assert verify([right], HASHES, {NAME: public(key)})
    assert verify([right], HASHES, {"test": public(key)})  # a proxy's name for the same key
    assert not verify([right], HASHES, {"other.rsa.pub": public(key)})
    assert not verify([right], HASHES, {})
    assert not verify([right], HASHES, {NAME: public(SigningKey(tmp_path))})
    other = {name: bytes(len(value)) for name, value in HASHES.items()}
    assert not verify([right], other, {NAME: public(key)})


@given(st.data())
def test_no_changed_signature_is_right(key: SigningKey, data: st.DataObject) -> None:
    value = bytearray(key.sign(DATA))
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] ^= data.draw(st.integers(1, 255))
    assert not verify([Signature(NAME, "sha256", bytes(value))], HASHES, {NAME: public(key)})


@given(st.binary(max_size=300))
def test_no_other_bytes_are_a_signature_or_a_key(data: bytes) -> None:
    key = PublicKey((1 << 1023) + 12345, 3)
    assert not verify([Signature(NAME, "sha256", data)], HASHES, {NAME: key})
    assert read_public_key(data) is None


def test_a_padding_that_is_too_short_is_refused_whatever_follows() -> None:
    # With the exponent 3, whoever need not fill the padding can make such a number without the key.
    key = PublicKey((1 << 2047) + 9, 3)
    wanted = (
        b"\0\1\xff\0" + bytes.fromhex("3031300d060960864801650304020105000420") + HASHES["sha256"]
    )
    number = int.from_bytes(wanted + b"\xff" * (256 - len(wanted)))
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    assert (low**3).to_bytes(256)[: len(wanted)] == wanted
    assert not verify([Signature(NAME, "sha256", low.to_bytes(256))], HASHES, {NAME: key})


@given(st.data())
def test_a_damaged_key_is_none_or_another_one(key: SigningKey, data: st.DataObject) -> None:
    text = bytearray(key.public.read_bytes())
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] = data.draw(st.integers(0, 255))
    found = read_public_key(bytes(text))
    assert found is None or isinstance(found, PublicKey)


def test_names_say_what_signs_and_with_which_key() -> None:
    assert read_signature(".SIGN.RSA.a.rsa.pub", b"x") == Signature("a.rsa.pub", "sha1", b"x")
    assert read_signature(".SIGN.RSA256.a.rsa.pub", b"x") == Signature("a.rsa.pub", "sha256", b"x")
    assert read_signature(".SIGN.DSA.a.rsa.pub", b"x") is None
    for name in ("APKINDEX", ".SIGN.RSA256.a.pub", "x/.SIGN.RSA.a.rsa.pub"):
        with pytest.raises(ValueError, match="where signatures are"):
            read_signature(name, b"x")
