"""Sentences about what is not defined here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dag.report.words import missing_lines

LOST = "https://a.example could not be asked"
OTHER = "https://b.example could not be asked"


def said(
    remarks: Mapping[str, str], *, there: Mapping[str, Sequence[str]], verbose: int = 0
) -> list[str]:
    missing = {name: ["user"] for name in remarks}
    return list(
        missing_lines(missing, (), others=True, verbose=verbose, there=there, remarks=remarks)
    )


def test_what_is_known_of_several_missing_packages_is_said_once() -> None:
    remarks = dict.fromkeys("abcdefg", LOST) | {"b": OTHER}
    there = {"c": ["c-1-r0"]}
    named = f"a, b ({OTHER}), c (there is only c-1-r0), d, e and 2 more"
    (line,) = said(remarks, there=there)
    assert line == (
        f"melange must find in another repository: {named}; {LOST}; -v names who needs them"
    )
    each = said(remarks, there=there, verbose=1)
    assert f"melange must find a ({LOST}) in another repository; it is needed by user" in each
    assert f"melange must find g ({LOST}) in another repository; it is needed by user" in each


def test_a_remark_of_packages_that_are_not_named_is_not_said() -> None:
    remarks = {f"a{number}": LOST for number in range(5)} | {"x": OTHER, "y": OTHER}
    assert said(remarks, there={})[0].endswith(f" and 2 more; {LOST}; -v names who needs them")
