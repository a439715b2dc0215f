"""A driver ends for good when its run has, and has a successor when something around it failed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dag.core.jobs.handover import DriverEnd, Handover, encode_handover
from dag.core.jobs.options import UnitBuildOptions
from dag.errors import BuildError, DagError, InfrastructureError, Interrupted, UsageError
from dag.run.jobs import drive as module
from dag.run.jobs.drive import drive
from dag.run.jobs.start import ClusterOutcome
from tests.core.jobs.test_handover import handover
from tests.support.runs import made_run

LOST = InfrastructureError("the API server is gone")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the signals and the manner of the process of the tests as they are."""
    monkeypatch.setattr(module, "leave_on_sigterm", lambda: None)
    monkeypatch.setattr(module, "behave", lambda _: None)


def ends_with(monkeypatch: pytest.MonkeyPatch, outcome: ClusterOutcome | DagError) -> None:
    """Have the build of a driver end so."""

    def build(
        options: UnitBuildOptions, _terminal: object, _planned: object, handed: Handover
    ) -> ClusterOutcome:
        assert options == handed.options()
        if isinstance(outcome, DagError):
            raise outcome
        return outcome

    monkeypatch.setattr(module, "build_on_cluster", build)


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (ClusterOutcome(results=(made_run(3),)), DriverEnd(exit_code=0)),
        (
            ClusterOutcome(results=(made_run(3, failing=frozenset({1})),)),
            DriverEnd(exit_code=1),
        ),
        (
            ClusterOutcome(results=(), errors=(LOST, BuildError("no"))),
            DriverEnd(exit_code=1, words="no"),
        ),
        (
            UsageError("a definition is wrong", hint="correct it"),
            DriverEnd(exit_code=2, words="a definition is wrong", hint="correct it"),
        ),
        (Interrupted("interrupted"), DriverEnd(exit_code=130, words="interrupted")),
    ],
)
def test_what_another_driver_would_not_change_is_the_end(
    monkeypatch: pytest.MonkeyPatch, outcome: ClusterOutcome | DagError, end: DriverEnd
) -> None:
    ends_with(monkeypatch, outcome)
    assert drive(encode_handover(handover()), lambda _: None) == end


@pytest.mark.parametrize("outcome", [LOST, ClusterOutcome(results=(made_run(3),), errors=(LOST,))])
def test_what_may_heal_is_left_to_another_driver(
    monkeypatch: pytest.MonkeyPatch, outcome: ClusterOutcome | DagError
) -> None:
    ends_with(monkeypatch, outcome)
    with pytest.raises(InfrastructureError, match="the API server is gone"):
        drive(encode_handover(handover()), lambda _: None)


def test_damaged_words_are_no_reason_to_try_again() -> None:
    end = drive(["nonsense"], lambda _: None)
    assert (end.exit_code, end.words.partition(":")[0]) == (
        2,
        "what the driver was told is damaged",
    )


def test_sigterm_ends_a_driver_on_the_spot_also_while_it_drives() -> None:
    script = (
        "import asyncio, os, signal\n"
        "from dag.run.signals import leave_on_sigterm, run_interruptibly\n"
        "leave_on_sigterm()\n"
        "async def main():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    await asyncio.sleep(60)\n"
        "try:\n"
        "    run_interruptibly(main())\n"
        "finally:\n"
        "    print('it has cleaned up')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (143, "")
