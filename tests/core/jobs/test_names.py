"""Jobs are named after what they are for, so that making one twice is adopting it."""

from __future__ import annotations

import re

import pytest

from dag.core.jobs.claims import Claim
from dag.core.jobs.names import attempt_of, job_name, labels
from dag.errors import UsageError

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@pytest.mark.parametrize(
    "package", ["zlib", "Catch2", "libstdc++", "R-DBI", "+++", "a" * 200, "python-3.11-base"]
)
def test_every_package_has_a_name_that_kubernetes_takes(package: str) -> None:
    assert _LABEL.fullmatch(job_name("20260101-000000-000abc", package, "x86_64", 1))


def test_an_attempt_has_one_name_and_no_other_attempt_has_it() -> None:
    attempts = [
        (run, package, arch, number)
        for run in ("one", "two")
        for package in ("Catch2", "catch2", "catch-2")
        for arch in ("x86_64", "aarch64")
        for number in (1, 2)
    ]
    assert len({job_name(*one) for one in attempts}) == len(attempts)
    assert job_name("one", "a", "x86_64", 1) == job_name("one", "a", "x86_64", 1)


def test_labels_are_ones_that_kubernetes_takes() -> None:
    found = labels("20260101-000000-000abc", "x86_64", "pvc://packages/a/very/long/folder" * 9)
    assert all(len(value) <= 63 for value in found.values())


@pytest.mark.parametrize(
    ("text", "claim"),
    [("pvc://a", Claim("a")), ("pvc://a.b-c/d/e_f/", Claim("a.b-c", "d/e_f"))],
)
def test_a_claim_is_read_and_written(text: str, claim: Claim) -> None:
    assert Claim.parse(text) == claim
    assert str(claim) == text.rstrip("/")


@pytest.mark.parametrize("text", ["pvc://", "pvc://A", "pvc://a/../b", "pvc://a//b", "gs://a", "a"])
def test_what_is_no_claim_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="does not name a volume claim"):
        Claim.parse(text)


@pytest.mark.parametrize(
    ("marks", "annotations"),
    [
        ({"dag/run": "r"}, {"dag/package": "a", "dag/attempt": "1"}),
        ({}, {"dag/package": "a", "dag/attempt": "1", "dag/bundle": "b"}),
        ({"dag/run": "r"}, {"dag/package": "a", "dag/attempt": "9" * 5000, "dag/bundle": "b"}),
        (None, None),
    ],
)
def test_a_job_that_somebody_made_by_hand_is_no_attempt(
    marks: dict[str, str] | None, annotations: dict[str, str] | None
) -> None:
    assert attempt_of({"metadata": {"labels": marks, "annotations": annotations}}) is None
