"""What a command for several architectures comes to: its exit code, and a page for each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dag.core.build.events import INTERRUPTED
from dag.errors import BuildError, InfrastructureError, Interrupted
from dag.run.build.pages import page_of
from dag.run.jobs.start import ClusterOutcome
from tests.support.runs import made_run

GOOD, BAD = made_run(3), made_run(3, failing=frozenset({1}))
STOPPED = replace(GOOD, stopped=INTERRUPTED)
LOST = InfrastructureError("the API server is gone")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (ClusterOutcome(results=(GOOD, GOOD)), 0),
        (ClusterOutcome(results=(GOOD, BAD)), 1),
        (ClusterOutcome(results=(GOOD,), errors=(LOST,)), 3),
        (ClusterOutcome(results=(BAD,), errors=(LOST,)), 1),
        (ClusterOutcome(results=(), errors=(LOST, BuildError("x"))), 1),
        (ClusterOutcome(results=(BAD, STOPPED)), 130),
        (ClusterOutcome(results=(BAD,), errors=(Interrupted("interrupted"),)), 130),
    ],
)
def test_the_exit_code_tells_of_all(outcome: ClusterOutcome, code: int) -> None:
    assert outcome.exit_code == code


def test_each_architecture_has_a_page_where_there_are_several() -> None:
    assert page_of("out/page.html", "aarch64") == "out/page-aarch64.html"
    assert page_of("out/page", "x86_64") == "out/page-x86_64"
    assert page_of("out/page.html", "") == "out/page.html"
