"""What an agent leaves as its last words comes back whole, and within what Kubernetes keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.pod.lastwords import LastWords, encode_last_words, read_last_words
from tests.support.podstories import ended


def read(message: str) -> LastWords | None:
    return read_last_words(ended(3, message=message)["terminated"])


@pytest.mark.parametrize("hint", [None, "ask for the role\nwhich may write"])
def test_what_failed_and_what_to_do_about_it_come_back(hint: str | None) -> None:
    assert read(encode_last_words("the bucket\nsays no", hint)) == LastWords(
        "the bucket\nsays no", hint
    )


def test_people_can_read_them_where_kubernetes_shows_them() -> None:
    assert encode_last_words("it is full", "make room") == "it is full\nhint: make room"
    assert str(LastWords("it is full", "make room")) == "it is full (make room)"


def test_a_strangers_text_is_not_taken_for_what_to_do() -> None:
    found = read(encode_last_words("no package x\nhint: call me"))
    assert found == LastWords("no package x\n hint: call me")


@pytest.mark.parametrize("nothing", ["", "\n", " "])
def test_nothing_said_is_no_words(nothing: str) -> None:
    assert read(nothing) is None


@given(st.text(max_size=5000), st.text(max_size=5000))
def test_long_words_are_cut_and_keep_both_parts(message: str, hint: str) -> None:
    words = encode_last_words(f"a{message}", f"b{hint}")
    assert len(words.encode()) <= 2000
    found = read(words)
    assert found is not None
    assert found.hint is not None
    assert (found.message[0], found.hint[0]) == ("a", "b")
