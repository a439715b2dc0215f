from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.package.versions import is_valid, key

# They are in the order of apk-tools' own comparisons (test/version.data).
ASCENDING = [
    "0.1.0_alpha_pre2",
    "0.1.0_alpha",
    "0.1.0_beta",
    "0.1.0_pre",
    "0.1.0_rc1",
    "0.1.0_rc2",
    "0.1.0",
    "0.1.0-r1",
    "0.1.0-r10",
    "0.1.0_cvs",
    "0.1.0_git20200101",
    "0.1.0_p1",
    "0.1.0_p1-r1",
    "0.1.0a",
    "0.1.0b",
    "0.1.0.1",
    "0.1.1",
    "0.2",
    "0.10",
    "1.001",
    "1.0.1",
    "1.01",
    "1.06-r1",
    "1.1",
    "1.4",
    "1.4.0",
    "2",
    "303",
    "20230125",
]


def test_ascending() -> None:
    for lower, higher in pairwise(ASCENDING):
        assert key(lower) < key(higher), (lower, higher)


@pytest.mark.parametrize(
    "version", ["1", "1.10", "00303", "1.2.3a_alpha1-r4", "1_p20230101", "1~abc12"]
)
def test_valid(version: str) -> None:
    assert is_valid(version)


@pytest.mark.parametrize(
    "version", ["", "a1", "1.", "1_foo", "1-r", "1 2", "1" * 2000, "1.1-r1-r2"]
)
def test_invalid_versions_still_have_a_place(version: str) -> None:
    assert not is_valid(version)
    assert key("999") < key(version)


@given(st.text("0123456789._-rabp~", max_size=12), st.text("0123456789._-rabp~", max_size=12))
def test_any_two_texts_can_be_compared(one: str, other: str) -> None:
    assert (key(one) < key(other)) + (key(one) > key(other)) + (key(one) == key(other)) == 1


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_are_compared_as_numbers(a: int, b: int) -> None:
    assert (key(f"1.{a}") < key(f"1.{b}")) == (a < b)
    assert (key(f"1-r{a}") < key(f"1-r{b}")) == (a < b)
