"""What takes long is told to somebody who watches a terminal, and to nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dag.run import announcing
from tests.support.screens import SOURCES, Terminal

DEFINITION = "package:\n  name: {name}\n  version: 1\n  epoch: 0\n"

TEXT = """
import signal, sys
import dag.run.announcing as announcing
import dag.run.graph.definitions as definitions
from dag.cli.main import run
announcing.AFTER = 0.001
announcing.UNWATCHED = float(sys.argv.pop(1))
read = definitions.read_directory

def slowly(*words, **more):
    while 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.001:  # until it is told, if ever
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
    assert terminal.run(TEXT, "60", *words) == 0
    assert terminal.lines == ["dag: reading 2 definitions", "a", "b"]


def test_it_is_not_told_with_q(directory: Path) -> None:
    terminal = Terminal(80, 10)
    assert terminal.run(TEXT, "60", "text", "-t", "name", "-q", "-d", str(directory)) == 0
    assert terminal.lines == ["a", "b"]


@pytest.mark.parametrize(("after", "told"), [("60", ""), ("0.001", "dag: reading 2 definitions\n")])
def test_a_log_tells_only_what_takes_very_long(directory: Path, after: str, told: str) -> None:
    words = (after, "text", "-t", "name", "-d", str(directory))
    done = subprocess.run(
        [sys.executable, "-c", TEXT, *words],
        env={**os.environ, "PYTHONPATH": os.fspath(SOURCES / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("a\nb\n", told)


AGAIN = """
import signal
import dag.run.announcing as announcing
announcing.AFTER = announcing.AGAIN = 0.001
asked = 0

def words():
    global asked
    asked += 1
    return f"{min(asked // 2, 2)} of 3"

with announcing.announced(words):
    while asked < 6:
        signal.pause()
"""


def test_it_is_told_again_when_it_is_further() -> None:
    terminal = Terminal(80, 10)
    assert terminal.run(AGAIN) == 0
    assert terminal.lines == [f"dag: {one} of 3" for one in range(3)]


def test_the_signal_means_again_what_it_meant_before() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with announcing.announced(lambda: "never said"):
        assert signal.getsignal(signal.SIGALRM) is not before
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
