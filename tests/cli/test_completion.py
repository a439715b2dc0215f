"""Shells complete commands, flags and names of packages."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import commands

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with definitions, and with a program `dag`."""
    for name in ("brotli", "brotli-tools", "curl"):
        (tmp_path / f"{name}.yaml").write_text("")
    (tmp_path / ".brotli.yaml").write_text("")
    program = tmp_path / "bin" / "dag"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dag "$@"\n')
    program.chmod(0o755)
    return tmp_path


def shell(place: Path, *words: str | Path) -> str:
    """Run a program where `dag` can be found, and return what it prints; it may not complain."""
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words,
        cwd=place,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(CHECKOUT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


BASH = """
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_dag_completion dag
printf '%s\\n' "${COMPREPLY[@]}"
"""


@functools.cache
def functions() -> str:
    """Return what a shell reads when it starts."""
    return commands.dag("completion", "bash", environment=os.environ).stdout


def bash(place: Path, *typed: str) -> list[str]:
    """Return what is offered for the last word."""
    return shell(place, "bash", "-c", functions() + BASH, "bash", *typed).splitlines()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["dag", "bu"], ["build"]),
        (["dag", "build", "--jun"], ["--junit"]),
        (["dag", "build", "br"], ["brotli-tools", "brotli"]),
        (["dag", "path", "curl", "br"], ["brotli-tools", "brotli"]),
        (["dag", "build", "--rebuild", "c"], ["curl"]),
        (["dag", "cache", "--dry-run", "c"], ["curl"]),
        (["dag", "text", "--type", "j"], ["json"]),
        (["dag", "build", "--dir", "nowhere", "br"], [""]),
        (["dag", "build", "--dir", "elsewhere", "w"], ["wget"]),
        (["dag", "build", "--no-such-flag", "--jun"], ["--junit"]),
        (["dag", "setup", "k"], ["kind"]),
    ],
)
def test_bash_completes(place: Path, typed: list[str], offered: list[str]) -> None:
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "wget.yaml").write_text("")
    assert bash(place, *typed) == offered


def test_names_that_no_terminal_shows_are_not_offered(place: Path) -> None:
    for odd in (b"br\xff", b"br\nx", b"br\x1b[2J", b"br\xc2\x9b2J"):
        (place / os.fsdecode(odd + b".yaml")).write_text("")
    (place / "brü.yaml").write_text("")
    assert bash(place, "dag", "build", "br") == ["brotli-tools", "brotli", "brü"]


def test_settings_that_are_wrong_do_not_disturb_it(place: Path) -> None:
    (place / "dag.toml").write_text("no-such-key = 1\n")
    assert bash(place, "dag", "build", "cu") == ["curl"]


@pytest.mark.installs
def test_fish_completes(place: Path) -> None:
    subprocess.run([CHECKOUT / "scripts/apt", "fish"], check=True)
    asked = 'dag completion fish | source; complete --do-complete "dag build br"'
    assert shell(place, "fish", "--no-config", "-c", asked).split() == ["brotli", "brotli-tools"]


ZSH = """
autoload -Uz compinit
compinit -D
compdef() { :; }
_describe() { print -l -- "${(@P)3%%:*}"; }
compadd() { [[ $1 = -U ]] || return 0; shift; [[ $1 != -V ]] || shift 2; print -l -- "${(@P)@[-1]}"; }
eval "$(dag completion zsh)"
words=(dag build br) CURRENT=3
_dag_completion
"""


@pytest.mark.installs
def test_zsh_completes(place: Path) -> None:
    """The functions of zsh's own that put words on the line print them here."""
    subprocess.run([CHECKOUT / "scripts/apt", "zsh"], check=True)
    assert shell(place, "zsh", "-fc", ZSH).split() == ["brotli-tools", "brotli"]
