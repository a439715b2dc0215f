"""What an agent is told is read as it was written, and is small."""

from __future__ import annotations

import hashlib

import pytest

from dag.core.decoding import Undecodable
from dag.core.jobs.order import (
    GivenPackage,
    ServedPackage,
    UnitOrder,
    bare_package,
    decode_order,
    decode_texts,
    encode_order,
    encode_texts,
    unpack_words,
)
from dag.core.package.model import Need, Package, Subpackage

PACKAGE = Package(
    name="Catch2",
    version="3.1",
    epoch=2,
    file="catch2.yaml",
    line=2,
    environment=(Need("busybox", "catch2.yaml", 9, "environment"),),
    subpackages=(Subpackage("Catch2-dev", "catch2.yaml", 20, runtime=("Catch2",)),),
)


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def order(given: int = 2, served: int = 1) -> UnitOrder:
    return UnitOrder(
        run="20260101-000000-000abc",
        attempt=1,
        arch="x86_64",
        package=bare_package(PACKAGE),
        paths=("Makefile", "catch2.yaml"),
        copies=("keys/a.rsa.pub",),
        given=tuple(
            GivenPackage(f"some-library-{n}", f"{n}.2.3-r1", digest(n)) for n in range(given)
        ),
        served=tuple(
            ServedPackage(f"other-{n}", f"{n}-r0", f"Q1{digest(n).hex()[:27]}=", 0, "P:other\n")
            for n in range(served)
        ),
        repositories=("https://example.com/os",),
        named={},
        roots={},
        public_key="melange.rsa.pub",
        own="0" * 64,
        dropped=(),
        open="",
        melange="0.56.0",
        defined=(),
        fingerprint="1" * 64,
        epoch=7,
        memory=1 << 30,
        arguments=("--state=/tmp/.dag", "--", "packages/x86_64/Catch2-3.1-r2.apk"),
        confined=True,
        reuse=True,
    )


def test_an_order_is_read_as_it_was_written() -> None:
    assert decode_order(encode_order(order())) == order()


def test_the_package_of_an_order_promises_what_the_definition_does() -> None:
    found = bare_package(PACKAGE)
    assert (found.promised, found.full_version) == (PACKAGE.promised, PACKAGE.full_version)
    assert not found.environment


def test_the_order_of_an_environment_of_400_packages_is_a_fraction_of_what_etcd_takes() -> None:
    # 32 of the bytes of each are its hash, which nothing makes smaller.
    words = encode_order(order(given=400))
    assert sum(map(len, words)) < 32_000


def test_no_word_is_longer_than_a_container_takes_in_an_argument() -> None:
    words = encode_texts(digest(number).hex() for number in range(10_000))
    assert len(words) > 1
    assert max(map(len, words)) < 128 << 10
    assert len(decode_texts(words)) == 10_000


@pytest.mark.parametrize("words", [["!"], [""], ["AAAA"], [encode_order(order())[0][:-8]]])
def test_damaged_words_are_refused(words: list[str]) -> None:
    with pytest.raises(Undecodable):
        decode_order(words)


def test_words_that_unpack_to_more_than_is_allowed_are_refused() -> None:
    with pytest.raises(Undecodable, match="too large"):
        unpack_words(encode_texts(["a" * 1000]), 999)


def test_the_words_of_something_else_are_no_order() -> None:
    with pytest.raises(Undecodable):
        decode_order(encode_texts(["a"]))
