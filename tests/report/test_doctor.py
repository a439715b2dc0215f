"""The findings of an examination, as a user reads them."""

from __future__ import annotations

from dag.core.doctor.checks import Finding, Status, ok, skipped
from dag.report.doctor import headline, lines, to_json
from tests.support.schema import checked

FINDINGS = {
    "api": ok("it answers"),
    "namespace": Finding(Status.FAILED, "there is none", "kubectl create namespace x"),
    "pod": skipped("namespace comes first"),
}


def test_each_check_has_a_line_and_below_it_what_mends_it() -> None:
    assert list(lines(FINDINGS)) == [
        "ok       api        it answers",
        "failed   namespace  there is none",
        "                    mend: kubectl create namespace x",
        "skipped  pod        not checked: namespace comes first",
    ]


def test_the_last_line_says_whether_a_build_could_work() -> None:
    assert headline(FINDINGS) == "a build would fail: 1 problem (1 check not made)"
    doubtful = {"api": FINDINGS["api"], "node": Finding(Status.WARNING, "busy")}
    assert headline(doubtful) == "nothing is known that would stop a build (1 warning)"


def test_programs_get_the_same_and_the_exit_code() -> None:
    data = checked(to_json(FINDINGS), "checks")
    assert data["exit_code"] == 3
    assert [one["status"] for one in data["checks"]] == ["ok", "failed", "skipped"]
    assert data["checks"][1]["fix"] == "kubectl create namespace x"
