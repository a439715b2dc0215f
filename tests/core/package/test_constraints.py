from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.package.constraints import (
    SATISFIES,
    Constraint,
    is_version,
    parse,
    rank,
    simple_constraint,
    version,
)


@pytest.mark.parametrize(
    ("text", "name", "operator", "required", "pin"),
    [
        ("foo", "foo", "", "", ""),
        ("foo=1.2-r0", "foo", "=", "1.2-r0", ""),
        ("foo>=1.2", "foo", ">=", "1.2", ""),
        ("foo<2@edge", "foo", "<", "2", "edge"),
        ("foo@edge", "foo", "", "", "edge"),
        ("foo~1", "foo", "~", "1", ""),
        ("foo=~1", "foo", "~", "1", ""),
        ("cmd:foo=1", "cmd:foo", "=", "1", ""),
    ],
)
def test_a_need_is_name_operator_version_and_repository(
    text: str, name: str, operator: str, required: str, pin: str
) -> None:
    assert parse(text) == Constraint(text, name, operator, required, pin)


@pytest.mark.parametrize("text", ["foo~=1", "foo==1", "foo=>1", "foo><1"])
def test_an_operator_that_apko_does_not_know_asks_for_any_version(text: str) -> None:
    assert parse(text).name == "foo"
    assert parse(text).operator == ""


@pytest.mark.parametrize("text", ["foo@", "foo@not-a-tag", "=1", "foo=", "@edge", ""])
def test_what_apko_cannot_take_apart_is_a_name_as_a_whole(text: str) -> None:
    assert parse(text) == Constraint(text, text, "", "", "")


def test_a_library_without_a_release_is_less_than_all_with_one() -> None:
    assert parse("so:libx.so.1=2").version == "0.2"
    assert parse("so:libx.so.1=2-r0").version == "2-r0"
    assert parse("so:libx.so.1>=2").version == "0.2"
    assert parse("so:libx.so.1>2").version == "2"


# In the order of apko's own comparison, which is not apk's: to apko 1.01 is 1.1.
ASCENDING = """
0 0.1_alpha 0.1_alpha2 0.1_beta 0.1_pre 0.1_rc1 0.1_rc1_p1 0.1_rc2 0.1 0.1-r1 0.1-r10 0.1_cvs
0.1_svn 0.1_git20240101 0.1_hg 0.1_p1 0.1_p1-r1 0.1_p2 0.1a_rc1 0.1a 0.1b 0.1.0 0.1.1 0.2 0.10 1.06
1.10 2 303 20230125
"""


def test_versions_ascend_as_apko_compares_them() -> None:
    for lower, higher in pairwise(ASCENDING.split()):
        one, other = version(lower), version(higher)
        assert one is not None, lower
        assert other is not None, higher
        assert one < other, (lower, higher)


def test_zeros_in_front_of_a_number_mean_nothing_to_apko() -> None:
    assert version("1.01-r00") == version("01.1")
    assert rank("1.01-r00") == rank("01.1") < rank("1.2")


@pytest.mark.parametrize("text", ["latest-r0", "2~abc-r0", "2023-01-25-r0", ""])
def test_what_apko_takes_for_no_version_comes_before_all_that_are(text: str) -> None:
    assert rank(text) < rank("0_alpha")


INVALID = ["", "a", "1.", ".1", "1_foo", "1-r", "1 2", "1~ab", "1_p1_rc1", "1-r1-r2", "1ab", "1\n"]


@pytest.mark.parametrize("text", [*INVALID, "9" * 19, "9" * 5000, "1_p" + "9" * 30, "٣"])
def test_what_apko_refuses_is_no_version(text: str) -> None:
    assert version(text) is None
    assert not is_version(text)


@pytest.mark.parametrize("text", ["9223372036854775807", "0" * 5000 + "1", "1-r9"])
def test_numbers_of_63_bits_are_read(text: str) -> None:
    assert version(text) is not None


@given(st.text("0123456789._-rabp~c", max_size=12))
def test_validity_and_reading_agree(text: str) -> None:
    assert is_version(text) == (version(text) is not None)


def fits(actual: str, sign: str, required: str) -> bool:
    one, other = version(actual), version(required)
    assert one is not None
    assert other is not None
    return SATISFIES[sign](one, other)


@pytest.mark.parametrize(
    ("actual", "required", "signs"),
    [
        ("1.2-r0", "1.2-r0", "= <= >= ~"),
        ("1.2-r1", "1.2", "> >= ~"),
        ("1.2-r1", "1.2-r2", "< <="),
        ("1.2.3-r0", "1.2", "> >= ~"),
        ("1.20-r0", "1.2", "> >="),
        ("1.2", "1.2.0", "< <="),
        ("1.2a", "1.2", "> >= ~"),
        ("1.2_rc1", "1.2", "< <= ~"),
        ("1.2_rc1", "1.2_rc", "> >= ~"),
        ("1.2_rc1", "1.2_rc2", "< <="),
        ("1.2_p1", "1.2_git", "> >="),
        ("1.2.9_rc1-r5", "1.2_rc2-r1", "> >= ~"),
    ],
)
def test_an_operator_compares_versions_as_apk_does(actual: str, required: str, signs: str) -> None:
    found = [sign for sign in ("=", "<", ">", "<=", ">=", "~") if fits(actual, sign, required)]
    assert sorted(found) == sorted(signs.split())


valid = st.from_regex(
    r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}[ab]?(_rc[0-9]?)?(_p[0-9]?)?(-r[0-9])?", fullmatch=True
)


@given(valid, valid)
def test_exactly_one_of_less_equal_and_greater_holds(one: str, other: str) -> None:
    assert fits(one, "<", other) + fits(one, "=", other) + fits(one, ">", other) == 1
    assert fits(one, "<=", other) != fits(one, ">", other)
    assert fits(one, "~", one)


@given(st.text("ab1.:so<>=~@-", max_size=9))
def test_the_short_way_to_a_constraint_leads_to_the_same(text: str) -> None:
    if match := simple_constraint(text):
        found = parse(text)
        assert match.groups() == (found.name, found.operator, found.version)
        assert not found.pin
