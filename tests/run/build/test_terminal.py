"""`dag build` in a real terminal: what matters is on the screen, whatever size that has or gets."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.io.package.compiling import CompileCheck, Question
from dag.io.package.definitions import read_directory
from tests.support.builds import Make, definition
from tests.support.melange import binary
from tests.support.tmux import tmux
from tests.torture.kills import environment

SIZES = [(60, 15), (40, 12), (200, 50), (40, 20)]
WORDS = "main.c:7: fatal error: zlib.h: No such file"
BREAKS = f"echo compiling\necho '{WORDS}' >&2\nexit 3"


def distribution(make: Make, units: int) -> Path:
    """Write a unit that fails, one that it blocks, one that is built, and many that take long."""
    names = [f"package-with-a-rather-long-name-{number:04}" for number in range(units - 3)]
    units_of_kinds = {
        "blocked": definition("blocked", "broken"),
        "broken": definition("broken", runs=BREAKS),
        "built": definition("built"),
        **{name: definition(name, runs="sleep 600") for name in names},
    }
    return make(**units_of_kinds)


def loaded(place: Path) -> None:
    """Put answers of melange about all definitions into the cache: to ask would take minutes."""

    class Sure(CompileCheck):
        def _ask(self, file: str, asked: Question) -> str | None:
            return ""

    found = read_directory(place, arch="x86_64")
    Sure(str(binary()), place).refused(found, found.packages, Arch.parse("x86_64"))


def table(*wanted: str) -> Callable[[list[str]], bool]:
    """Return whether a screen has what runs, and once, at its end, these numbers."""

    def seen(lines: list[str]) -> bool:
        begins = [number for number, line in enumerate(lines) if " done," in line]
        numbers = " ".join(line.strip() for line in lines[begins[0] :]) if begins else ""
        return (
            len(begins) == 1
            and numbers.endswith(" so far")
            and all(words in numbers for words in wanted)
            and any("package-with" in line for line in lines)
        )

    return seen


@pytest.mark.parametrize(("units", "jobs"), [(4, 2), (64, 4), (3400, 4)])
def test_what_matters_is_on_a_screen_of_any_size(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: int, jobs: int
) -> None:
    around = {**environment(), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    place = distribution(make, units)
    binary()
    monkeypatch.setenv("XDG_CACHE_HOME", around["XDG_CACHE_HOME"])
    loaded(place)
    live = min(jobs, units - 3)
    wanted = [f"1 of {units:,} done,", f"{live} of {jobs} slots in use,", "1 failed, 1 blocked,"]
    wanted += ["left,", f"{units - 3 - live:,} ready,"] if units > 4 else []
    shown = table(*wanted)
    command = [sys.executable, "-m", "dag", "build", f"--jobs={jobs}", "--cpu=500m", "--ram=256Mi"]
    with tmux(tmp_path, command, columns=100, rows=30, cwd=place, environment=around) as terminal:
        terminal.wait(lambda lines: shown(lines) and f"    {WORDS}" in lines)
        for size in SIZES:
            terminal.resize(*size)
            terminal.wait(shown)
        terminal.press("C-c")
        terminal.wait(lambda lines: "it ended with 130" in lines)
        told = terminal.told()
    (end,) = re.findall(r"(?s)dag: interrupted; .*", told)
    assert "FAILED broken 1-r0: exit status 3 in a step; its log is " in end
    assert WORDS in end
