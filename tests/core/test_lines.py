"""Lines from pieces: the same wherever the cuts are, and none so long that it does harm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core import lines
from dag.core.limits import Limit, TooLarge
from dag.core.lines import LineSplitter, split_lines

LIMIT = Limit("a line", 10)
pieces = st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\xff", b"\n")))


@given(pieces)
def test_lines_are_the_same_however_the_bytes_are_cut(parts: list[bytes]) -> None:
    wide = Limit("a line", 1 << 20)
    splitter = LineSplitter(wide)
    found = [line for part in parts for line in splitter.feed(part)]
    assert [*found, splitter.rest()] == b"".join(parts).split(b"\n")
    lines = list(split_lines(parts, wide, "x"))
    assert b"".join(lines) == b"".join(parts)
    assert all(line.endswith(b"\n") for line in lines[:-1])


@given(pieces)
def test_a_long_line_comes_in_pieces_and_nothing_is_lost(parts: list[bytes]) -> None:
    splitter = LineSplitter(LIMIT)
    found = [line for part in parts for line in splitter.feed(part)]
    found.append(splitter.rest())
    assert all(len(line) <= LIMIT.most for line in found)
    assert b"".join(found) == b"".join(parts).replace(b"\n", b"")


def test_a_line_over_the_limit_names_the_file_and_the_limit() -> None:
    assert list(split_lines([b"0123456789\n"], LIMIT, "x")) == [b"0123456789\n"]
    for parts in ([b"0123456789", b"a"], [b"0123456789", b"a\n"]):
        with pytest.raises(TooLarge, match=r"^log has more than 10 bytes.* a line$"):
            list(split_lines(parts, LIMIT, "log"))


def test_sixty_four_megabytes_without_a_newline_take_no_time() -> None:
    splitter = LineSplitter(Limit("a line of a log", 1 << 20))
    piece = b"x" * (1 << 14)
    began = time.process_time()
    found = sum(len(line) for _ in range(1 << 12) for line in splitter.feed(piece))
    assert found + len(splitter.rest()) == 1 << 26
    assert time.process_time() - began < 5  # it once took 149 s


@given(st.text(alphabet="ab\n", max_size=60))
def test_lines_of_a_text_are_those_of_split(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_SLICE", 5)
        assert [*lines.iterate_lines(text)] == text.split("\n")
