"""`dag build` dies at each kind of transition, and the next one goes on where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.builds import Make, run
from tests.support.dying import VARIABLE
from tests.support.moments import END, MOMENTS, SAME, everything
from tests.torture.distribution import contents
from tests.torture.kills import environment

WORDS = ("-j", "9", "--rebuild", "dependents")


def die(place: Path, moment: str) -> list[str]:
    """Build until `moment`, and return what was said to be built."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.dying", "build", *WORDS],
        cwd=place,
        env=environment({VARIABLE: moment}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, f"{done.stderr}\nit should have died at: {moment}"
    return [line.split()[2] for line in done.stderr.splitlines() if line.startswith("dag: built ")]


def test_a_build_that_dies_at_any_transition_ends_like_an_unbroken_one(
    make: Make, tmp_path: Path
) -> None:
    all_of_it = everything()
    place, unbroken = make(**all_of_it.files), tmp_path / "unbroken"
    code, _, said = run(place, "-j", "9", "--store", str(unbroken))
    assert code == 1, said
    make(**all_of_it.before)
    code, _, said = run(place, *SAME)
    assert code == 0, said
    make(**all_of_it.files)
    built = [name for moment in (*MOMENTS, *END) for name in die(place, moment)]
    assert len(built) == len(set(built)), "what had a record was built again"
    code, _, said = run(place, *WORDS)
    assert code == 1, said
    assert "FAILED broken 1-r0" in said
    assert contents(place / "packages") == contents(unbroken)
