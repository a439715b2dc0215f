"""Without the real distributions, tests that compare with them are left out, but not in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


TESTS = """
import pytest

from tests.support.distributions import TODAY, compiled, unpacked

@pytest.fixture(scope="module")
def real():
    return unpacked(TODAY)

def test_with_a_fixture_that_reads_them(real): pass
def test_with_the_same_fixture(real): pass
def test_that_reads_them_itself(): compiled()
def test_that_needs_none(): pass
"""


def without_data(place: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `place`, where the real distributions are missing, with these `variables`."""
    outside = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=CHECKOUT,
        env={**outside, "DAG_SHARED": str(place), "PYTHONPATH": f"src:{CHECKOUT}", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def pytest_without_data(place: Path, *flags: str, **variables: str) -> tuple[int, list[str]]:
    """Run TESTS with the conftest of this project; return the exit code and the output of pytest."""
    (place / "test_it.py").write_text(TESTS)
    plugins = ("-p", "tests.conftest", "-p", "no:cacheprovider")
    command = ("-m", "pytest", *plugins, *flags, "--rootdir", str(place), str(place))
    done = without_data(place, *command, **variables)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.long
def test_comparisons_are_left_out_and_the_last_line_says_so(tmp_path: Path) -> None:
    code, lines = pytest_without_data(tmp_path, "-q", "-n", "1")
    assert code == 0, lines
    assert lines[-2] == (
        "3 comparisons with real distributions were left out (test_it.py), because"
        f" {tmp_path / 'data'} does not have them: $DAG_SHARED, which names the directory above"
        " data/, brings them in."
    )
    assert lines[-1].startswith("1 passed, 3 skipped in ")


def test_ci_must_have_them(tmp_path: Path) -> None:
    code, lines = pytest_without_data(tmp_path, "-q", CI="true")
    assert code == 1
    assert any(f"MissingDataError: {tmp_path / 'data'}" in line for line in lines)
    assert lines[-1].startswith("1 failed, 1 passed, 2 errors in ")


def test_benchmark_says_what_it_needs_in_a_sentence(tmp_path: Path) -> None:
    done = without_data(tmp_path, "bench/graph.py")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'data'}")
    assert done.stderr.count("\n") == 1
