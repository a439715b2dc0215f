"""What takes long is told to somebody who watches a terminal, and to nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.screens import SOURCES, Terminal

DEFINITION = "package:\n  name: {name}\n  version: 1\n  epoch: 0\n"

TEXT = """
import signal, sys
import dag.run.announcing as announcing
import dag.run.graph.definitions as definitions
from dag.cli.main import run
announcing.AFTER = 0.001
read = definitions.read_directory

def slowly(*words, **more):
    while signal.getitimer(signal.ITIMER_REAL)[0]:  # as long as it takes until it is told, if ever
        pass
    return read(*words, **more)

definitions.read_directory = slowly
sys.argv[0] = "dag"
run()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(DEFINITION.format(name=name))
    return tmp_path


def test_reading_that_takes_long_is_told_on_a_terminal(directory: Path) -> None:
    terminal = Terminal(80, 10)
    words = ("text", "-t", "name", "-d", str(directory))
    assert terminal.run(TEXT, *words) == 0
    assert terminal.lines == ["dag: reading 2 definitions", "a", "b"]


@pytest.mark.parametrize("quiet", [False, True])
def test_it_is_told_neither_to_a_file_nor_with_q(directory: Path, *, quiet: bool) -> None:
    words = ["text", "-t", "name", "-d", str(directory), *(["-q"] if quiet else [])]
    if quiet:
        terminal = Terminal(80, 10)
        assert terminal.run(TEXT, *words) == 0
        assert terminal.lines == ["a", "b"]
        return
    done = subprocess.run(
        [sys.executable, "-c", TEXT, *words],
        env={**os.environ, "PYTHONPATH": os.fspath(SOURCES / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("a\nb\n", "")


def test_the_signal_means_again_what_it_meant_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from dag.run import announcing

    monkeypatch.setattr(announcing, "shows_tables", lambda _: True)
    before = signal.getsignal(signal.SIGALRM)
    with announcing.announced(lambda: "never said"):
        assert signal.getsignal(signal.SIGALRM) is not before
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
