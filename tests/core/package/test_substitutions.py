from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.package.substitutions import (
    Replacer,
    Scope,
    Unresolvable,
    condition,
    evaluate,
    quote,
    substitute,
)
from dag.core.package.transforms import Effort, transform

NAMES = st.text("abc.-_9", min_size=1, max_size=4)
TEXTS = st.text(st.characters(exclude_characters="$", exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(NAMES, TEXTS), TEXTS)
def test_text_without_references_stays(values: dict[str, str], text: str) -> None:
    assert substitute(text, Scope(values)) == text
    assert Replacer(values)(text) == text


@given(NAMES, TEXTS, TEXTS, TEXTS)
def test_a_reference_becomes_its_value(name: str, value: str, left: str, right: str) -> None:
    for text in (f"{left}${{{{{name}}}}}{right}", f"{left}${{{{ \t{name}\n}}}}{right}"):
        assert substitute(text, Scope({name: value})) == left + value + right
    assert Replacer({name: value})(f"{left}${{{{{name}}}}}{right}") == left + value + right


@pytest.mark.parametrize("text", ["${{", "${{ }}", "${{a", "${{a}", "${{a}}${{b}}"])
def test_what_is_not_closed_or_known_is_refused(text: str) -> None:
    with pytest.raises(Unresolvable):
        substitute(text, Scope({"a": "x"}))


def test_values_that_refer_to_others_resolve_whatever_their_order() -> None:
    values = {"a": "<${{b}}>", "b": "[${{c}}]", "c": "x"}
    for names in (values, dict(reversed(values.items()))):
        scope = Scope(names)
        assert [scope(name) for name in "abc"] == ["<[x]>", "[x]", "x"]


def test_a_value_that_names_itself_means_the_callers() -> None:
    outer = Scope({"inputs.tool": "outer"})
    assert outer.inner({"tool": "${{inputs.tool}}-x"}, {})("inputs.tool") == "outer-x"
    assert outer.inner({}, {"tool": "${{inputs.tool}}-y"})("inputs.tool") == "outer-y"
    assert Scope({"a": "${{a}}"})("a") == "${{a}}"


def test_an_empty_value_means_the_default() -> None:
    scope = Scope({"package.version": "1"})
    inner = scope.inner({"a": ""}, {"a": "${{package.version}}", "b": "${{inputs.a}}2"})
    assert (inner("inputs.a"), inner("inputs.b")) == ("1", "12")


def test_bombs_are_refused_in_time() -> None:
    empty = {f"v{n}": f"${{{{v{n + 1}}}}}" * 2 for n in range(60)} | {"v60": ""}
    assert Scope(empty)("v0") == ""
    wide = {f"v{n}": f"${{{{v{n + 1}}}}}" * 9 for n in range(60)} | {"v60": "x" * 100}
    with pytest.raises(Unresolvable):
        Scope(wide)("v0")
    circle = {f"v{n}": f"${{{{v{n + 1}}}}}${{{{v{n + 1}}}}}${{{{v0}}}}" for n in range(60)}
    with pytest.raises(Unresolvable):
        Scope(circle)("v0")


@pytest.mark.parametrize(
    ("text", "match", "replace", "result"),
    [
        # Each case was run with Go's regexp.ReplaceAllString.
        ("1.2.3", r"(\d+)\.(\d+)\.(\d+)", "${1}_$2", "1_2"),
        ("1.2.3", r"(\d+)\.(\d+)", "$1x", ".3"),
        ("a$", r"\$", "$$$$", "a$$"),
        ("abxd", "x*", "-", "-a-b-d-"),
        ("aB1", "[[:upper:]]", "<$0>", "a<B>1"),
        ("a.b\n", r"\.b$", "", "a.b\n"),
        ("A.b", r"(?i)a\Q.\E", "x", "xb"),
        ("2024_01", "(?P<y>[0-9]+)_(?P<m>[0-9]+)", "$m/$y$none", "01/2024"),
        ("x[y]", r"[\[\]]", "", "xy"),
        ("é1", r"\w", "_", "é_"),
        ("ab", "a", "<$é>", "<>b"),
        ("aaa", "(?U)a+", "x", "xxx"),
        ("aB", "a(?i)b", "x", "x"),
        ("αβ1", r"\p{Greek}+", "x", "x1"),
        # In these cases other engines would search for ever.
        ("a" * 50_000 + "b", "(a+)+$", "x", "a" * 50_000 + "b"),
    ],
)
def test_transforms_as_go_makes_them(text: str, match: str, replace: str, result: str) -> None:
    assert transform(text, match, replace) == result


def test_between_quotes_of_an_expression_everything_is_itself() -> None:
    assert transform(r"a\C", r"\Q\C\E", "b") == "ab"
    assert transform(r"a\C", r"\\C", "b") == "ab"


@pytest.mark.parametrize(
    "match", ["(", "[", "a{2,1}", "[[:nonsense:]]", "*", "(?=a)", r"\C", r"a\C", r"[\C]"]
)
def test_what_is_no_expression_is_refused(match: str) -> None:
    with pytest.raises(Unresolvable, match="not a regular expression"):
        transform("a", match, "")


@pytest.mark.parametrize(
    ("text", "match", "replace"),
    [
        ("a" * 100_000, "a", "$9" * 10_000),
        ("a" * 1_000_000, "a.*z|a", ""),
        ("a" * 1000, "a", "b" * 2000),
        ("a", "a{1000}b{1000}" * 4000, ""),
    ],
)
def test_what_would_be_too_much_work_is_refused(text: str, match: str, replace: str) -> None:
    with pytest.raises(Unresolvable, match=r"too much work|more than a megabyte|pattern too large"):
        transform(text, match, replace)


def test_replacements_of_one_definition_may_not_be_too_much_together() -> None:
    effort, text = Effort(), "a" * 100_000
    done = 0
    with suppress(Unresolvable):
        for done in range(100):  # noqa: B007  # looked at behind the loop
            assert transform(text, "x", "y", effort) == text
    assert 10 < done < 50


@given(st.text(max_size=30), st.text(max_size=30))
def test_transform_never_fails_in_another_way(text: str, match: str) -> None:
    try:
        transform(text, match, "$1")
    except Unresolvable:
        return


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("'a' == 'a'", True),
        ("'a' != 'a'", False),
        ("""'a' == "a" && 'b' == 'c' || 'd' == 'd'""", True),
        ("'d' == 'd' || 'a' == 'a' && 'b' == 'c'", False),  # from left to right
        ("'d' == 'd' || ('a' == 'a' && 'b' == 'c')", True),
        (r"'it\'s' == " + '"it\'s"', True),
        ("${{ a }} == 'x'", True),
        ("'y' == ${{b}}", True),
    ],
)
def test_a_condition_holds_as_for_melange(text: str, result: bool) -> None:
    assert condition(text, Scope({"a": "x", "b": "y"})) is result


@pytest.mark.parametrize("text", ["", "a", "'a'", "'a' = 'a'", "'a' == 'a' x", "('a' == 'a'", "'a"])
def test_conditions_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(Unresolvable):
        evaluate(text)


@given(st.text(max_size=20))
def test_a_quoted_value_equals_itself(value: str) -> None:
    value = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", value)
    assert evaluate(f"{quote(value)} == {quote(value)}")
    assert not evaluate(f"{quote(value)} == {quote(value + 'x')}")


@given(st.text("'\"=!&|() \\ab${}", max_size=40))
def test_evaluate_never_fails_in_another_way(text: str) -> None:
    try:
        evaluate(text)
    except Unresolvable:
        return


def test_too_deep_a_nesting_is_refused() -> None:
    with pytest.raises(Unresolvable):
        evaluate("(" * 100_000)
