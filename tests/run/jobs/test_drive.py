"""A driver ends for good when its run has, and has a successor when something around it failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dag.core.build.result import Result
from dag.core.flagtexts import texts_of
from dag.core.jobs.handover import DriverEnd, encode_handover
from dag.core.jobs.options import UnitBuildOptions
from dag.errors import BuildError, DagError, InfrastructureError, Interrupted, UsageError
from dag.run.jobs.drive import drive, end_of_outcome
from dag.run.jobs.start import ClusterOutcome
from tests.core.jobs.test_handover import handover
from tests.support.runs import made_run


def failed(*errors: DagError) -> ClusterOutcome:
    return ClusterOutcome(results=(), errors=errors)


LOST = InfrastructureError("the API server is gone")


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
            failed(UsageError("it is wrong", hint="correct it")),
            DriverEnd(exit_code=2, words="it is wrong", hint="correct it"),
        ),
        (failed(Interrupted("interrupted")), DriverEnd(exit_code=130, words="interrupted")),
    ],
)
def test_what_another_driver_would_not_change_is_the_end(
    outcome: ClusterOutcome, end: DriverEnd
) -> None:
    assert end_of_outcome(outcome) == end


@pytest.mark.parametrize("results", [(), (made_run(3),)])
def test_what_may_heal_is_left_to_another_driver(results: tuple[Result, ...]) -> None:
    with pytest.raises(InfrastructureError, match="the API server is gone"):
        end_of_outcome(ClusterOutcome(results=results, errors=(LOST,)))


def test_a_driver_does_what_its_client_was_asked_for(tmp_path: Path) -> None:
    """It stops at once, because the directory that its client has bundled is not there."""
    options = UnitBuildOptions(on="kubernetes", store="pvc://packages", directory=str(tmp_path))
    words = encode_handover(handover(flags=texts_of(options)))
    program = (
        "import sys\n"
        "from dag.run.jobs.drive import drive\n"
        "end = drive(sys.argv[1:], print)\n"
        "print(end.exit_code, end.words)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(f"2 {tmp_path} has no package definitions"), done.stdout


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
