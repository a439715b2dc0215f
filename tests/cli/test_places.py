"""What a process is given by who starts it, such as a directory that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_graph_commands import define

ROOT = Path(__file__).parents[2]


def run(script: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of sh in which DAG is the command."""
    script = script.replace("DAG", f"'{sys.executable}' -m dag")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        ["sh", "-c", script],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        *("text", "svg", "graph", "cycles", "path a b", "affected --since HEAD", "pod", "doctor"),
        *("doctor --on local", "build", "build --dry-run", "build --on kubernetes", "publish"),
        *("status", "attach", "cancel", "logs a", "report", "store verify", "cache", "init new"),
        "setup cluster --kubeconfig here",
    ],
)
def test_a_directory_that_was_deleted_meanwhile_is_said_to_be(tmp_path: Path, words: str) -> None:
    (tmp_path / "gone").mkdir()
    done = run(f"cd gone && rmdir ../gone && DAG {words}", tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("dag: the directory in which dag runs was deleted: ")
    assert "hint: change to one that is there" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("command", ["svg --format dot", "graph"])
def test_a_file_that_would_be_written_to_a_deleted_directory_is_told_of_that(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "here").mkdir()
    define(tmp_path / "here", "one", "[]")
    done = run(f"cd gone && rmdir ../gone && DAG {command} --dir {tmp_path}/here", tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("dag: the directory in which dag runs was deleted: ")


def test_a_deleted_directory_matters_to_nobody_who_needs_no_other(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "here").mkdir()
    define(tmp_path / "here", "one", "[]")
    done = run(f"cd gone && rmdir ../gone && DAG text --dir {tmp_path}/here", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "packages/x86_64/one-1.10-r2.apk\n",
        "",
    )


def test_a_build_option_that_no_definition_has_is_told(tmp_path: Path) -> None:
    define(tmp_path, "one", "[]", "options: {small: {vars: {a: b}}}")
    done = run("DAG text --build-option small --build-option nope", tmp_path)
    assert done.returncode == 0
    assert (
        "dag: --build-option nope changes nothing: no definition has this in its options\n"
        in done.stderr
    )
    assert "small" not in done.stderr
