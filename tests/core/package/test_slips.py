"""Slips in YAML: each is told with its line, its column and a remedy of its own."""

from __future__ import annotations

import pytest

from dag.core.package.problems import Broken
from dag.core.package.yaml import compose

TAB = "this is a tab, and YAML wants spaces here; replace the tab with spaces"
QUOTE = "the quote that opens here is not closed; close it"
SPACE = "write a space after the colon"
ALIAS = "found undefined alias; define the anchor before it, or put the text in quotes"
BEGIN = "unless it is in quotes; put it in quotes"
FOLLOWS = "text follows the closing quote; put the whole value in quotes, and write"
INDENTED = (
    "the line is indented more than the one above, which has its value already; indent both alike"
)
CLOSED = "the bracket that opens in line 1, column 4 is not closed before this; close it, or write a comma"


def told(data: bytes) -> tuple[int, str]:
    with pytest.raises(Broken) as caught:
        compose(data)
    return caught.value.line, f"{caught.value.what}; {caught.value.fix}"


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a:\n\t- b: c\n", 2, 1, TAB),
        ("a:\n  b: c\n\td: e\n", 3, 1, TAB),
        ("a:\n  b: c\n  \td: e\n", 3, 3, TAB),
        ("a:\n- \tb: c\n", 2, 3, TAB),
        ("a: |\n\tb\n", 2, 1, TAB),
        ("\ufeff# ü\r\na:\r\n\t- b\r\n", 3, 1, TAB),
        ('a: "it\\\'s"\n\tb: c\n', 2, 1, TAB),  # what PyYAML's own scanner says
        ("a: @b\n", 1, 4, f"a text cannot begin with @ {BEGIN}"),
        ("a: [`b`]\n", 1, 5, f"a text cannot begin with ` {BEGIN}"),
        ("a: %b\n", 1, 4, f"a text cannot begin with % {BEGIN}"),
        ("a: 'b\nc: d\n", 1, 4, QUOTE),
        ('a: b\nc: "d\ne: f\n', 2, 4, QUOTE),
        ("a: 'b\n---\nc: d\n", 1, 4, QUOTE),
        ("a: 'it's'\n", 1, 8, f"{FOLLOWS} '' for a quote within it"),
        ('a: "b"c"\n', 1, 7, f'{FOLLOWS} \\" for a quote within it'),
        ("a: b\nc:d\ne: f\n", 2, 1, f"no space follows the colon after c; {SPACE}"),
        ("a:b\nc: d\n", 2, 2, f"no space follows the colon after a in the line above; {SPACE}"),
        (
            "a: b: c\n",
            1,
            5,
            "a second colon with a space after it is in the line; put the value in",
        ),
        ("a: b\n  c: d\n", 2, 4, INDENTED),
        (
            "a:\n  - b\n - c\n",
            3,
            2,
            "the line is indented like none of those that it could belong to",
        ),
        ("a: [b\nc: d\n", 2, 2, CLOSED),
        ("a: {b: c\n", 2, 1, CLOSED),
        (
            "a: - b\n",
            1,
            4,
            "block sequence entries are not allowed in this context; begin the list in",
        ),
        ("a: *\n", 1, 5, "while scanning an alias: did not find expected alphabetic or numeric"),
        ("a: *b\n", 1, 4, ALIAS),
        (
            "a: !b!c d\n",
            1,
            4,
            "while parsing a node: found undefined tag handle; put the text in quotes",
        ),
        (
            "a: > b\n",
            1,
            6,
            "while scanning a block scalar: did not find expected comment or line break;",
        ),
    ],
)
def test_a_slip_is_told_with_its_place_and_its_remedy(
    text: str, line: int, column: int, words: str
) -> None:
    where, said = told(text.encode())
    assert said.startswith(f"broken YAML in column {column}: {words}")
    assert where == line


def test_an_alias_without_an_anchor_is_told_alike_where_another_anchor_is_given_twice() -> None:
    line, said = told(b"a: &b c\nd: &b e\nf: *g\n")
    words = ALIAS.replace("alias", "alias 'g'")
    assert (line, said) == (3, f"broken YAML: {words}")


@pytest.mark.parametrize("text", ["a: ]\n", "a: b\nc\n", "a: b\nhttps://c\nd: e\n", "a\nb: c\n"])
def test_what_may_be_meant_in_several_ways_is_told_in_the_words_of_libyaml(text: str) -> None:
    said = told(text.encode())[1]
    assert said.startswith("broken YAML in column ")
    assert said.endswith("; correct it")


def test_the_place_is_told_in_other_encodings_as_well() -> None:
    assert told("\ufeffa:\u2028\u2028\u2028\n\t- b\n".encode("utf-16-le"))[1].startswith(
        "broken YAML in column 1: "
    )


def test_a_place_far_to_the_right_is_told_without_a_search_for_what_was_meant() -> None:
    # The blanks could be taken for those after the colon, or for the value, in as many ways.
    line, said = told(b"a: 1\nb:" + b" " * 1_000_000 + b"x 'y: d\n")
    assert line == 2
    assert said.startswith("broken YAML in column 1000007: mapping values are not allowed")
    assert said.endswith("; correct it")
