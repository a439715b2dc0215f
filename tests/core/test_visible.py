"""Texts of strangers as they are shown: whatever could be obeyed, or not be seen, is written out."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.visible import (
    visible,
    visible_entry,
    visible_json,
    visible_line,
    visible_log_line,
)

SHOWN = {
    "clears the screen": ("\x1b[2J", r"\x1b[2J"),
    "fills the clipboard": ("\x1b]52;c;ZXZpbA==\a", r"\x1b]52;c;ZXZpbA==\x07"),
    "names another target": (
        "\x1b]8;;http://evil\x1b\\here",
        r"\x1b]8;;http://evil\x1b\here",
    ),
    "is an 8-bit CSI": ("\x9b2J", r"\x9b2J"),
    "is an 8-bit OSC": ("\x9d0;title\x9c", r"\x9d0;title\x9c"),
    "returns to the beginning": ("bad\rgood", r"bad\rgood"),
    "takes back letters": ("bad\b\b\bgood", r"bad\x08\x08\x08good"),
    "is no character": ("a\0b", r"a\x00b"),
    "runs backwards": ("\u202egnp.exe", r"\u202egnp.exe"),
    "isolates": ("\u2066a\u2069", r"\u2066a\u2069"),
    "has no width": ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
    "is a filler": ("\u3164", r"\u3164"),
    "is a variation": ("a\ufe0f\U000e0100", r"a\ufe0f\U000e0100"),
    "is a tag": ("\U000e0041", r"\U000e0041"),
    "breaks a line otherwise": ("a\u2028b\x85c\vd\fe", r"a\u2028b\x85c\x0bd\x0ce"),
    "is half of a pair": ("\udcff", r"\udcff"),
    "is an order of GitHub": (" ::error::x\n::add-mask::y", " \\x3a:error::x\n\\x3a:add-mask::y"),
    "is an order of Azure": ("x ##vso[task.complete]", r"x \x23#vso[task.complete]"),
    "is an old order of GitHub": ("x ###[group]", r"x #\x23#[group]"),
}


@pytest.mark.parametrize(("text", "shown"), SHOWN.values(), ids=SHOWN)
def test_what_could_be_obeyed_or_unseen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


@pytest.mark.parametrize(
    "text", ["naïve → 日本語 €", "std::string", "a # b ## c", "tab\there", "two\nlines", "🙂"]
)
def test_what_is_just_text_stays(text: str) -> None:
    assert visible(text) == text


def test_colours_go_and_a_newline_of_windows_is_a_newline() -> None:
    assert visible("\x1b[1;31merror\x1b[0m: \x1b[38:5:9mx\x1b[m\r\n") == "error: x\n"


def test_an_entry_does_not_begin_another() -> None:
    assert visible_entry("failed\ndag: done\n::error::x") == "failed\n  dag: done\n  \\x3a:error::x"
    assert visible_line("failed\r\ndag: done") == "failed dag: done"


def test_bytes_of_a_log_that_are_no_text_are_seen() -> None:
    assert visible_log_line(b"caf\xc3\xa9 \xff\x1b[0m\r") == r"café \xff"


@given(st.text())
def test_a_text_can_be_written_and_only_its_newlines_and_tabs_move(text: str) -> None:
    shown = visible(text)
    assert shown.encode().decode() == shown == visible(shown)
    unseen = {unicodedata.category(c) for c in shown if c not in "\n\t "}
    assert unseen.isdisjoint({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


@given(st.recursive(st.text() | st.integers(), st.lists, max_leaves=5))
def test_json_means_the_same_and_shows_everything(value: object) -> None:
    text = visible_json(value)
    assert json.loads(text) == value
    assert text.isprintable()
    assert "##" not in text
