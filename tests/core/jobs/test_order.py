"""What an agent is told is read as it was written, and is small."""

from __future__ import annotations

import msgspec
import pytest

from dag.core.decoding import Undecodable
from dag.core.jobs.order import (
    ServedPackage,
    UnitOrder,
    bare_package,
    decode_order,
    decode_texts,
    encode_order,
    encode_texts,
)
from dag.core.jobs.packing import pack_words, unpack_words
from dag.core.limits import Limit
from tests.support.orders import PACKAGE, digest, order


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
        unpack_words(encode_texts(["a" * 1000]), Limit("texts", 999))


def test_the_words_of_something_else_are_no_order() -> None:
    with pytest.raises(Undecodable):
        decode_order(encode_texts(["a"]))


def test_an_order_of_no_architecture_is_refused() -> None:
    words = encode_order(order())
    data = unpack_words(words, Limit("an order", 1 << 20)).replace(b"x86_64", b"vax_11", 1)
    with pytest.raises(Undecodable, match="its architecture is none"):
        decode_order(pack_words(data))


@pytest.mark.parametrize("place", [1, -1])
def test_an_order_that_names_no_repository_for_a_package_is_refused(place: int) -> None:
    parts = msgspec.msgpack.decode(msgspec.msgpack.encode(order()))
    served = UnitOrder.__struct_fields__.index("served")
    parts[served][0][ServedPackage.__struct_fields__.index("repository")] = place
    with pytest.raises(Undecodable, match="a repository that it does not name"):
        decode_order(pack_words(msgspec.msgpack.encode(parts)))


def test_a_text_that_is_none_is_refused() -> None:
    # msgspec says so in another way than of anything else.
    words = pack_words(msgspec.msgpack.encode(("aé",)).replace("é".encode(), b"\xe9x"))
    with pytest.raises(Undecodable):
        decode_texts(words)
