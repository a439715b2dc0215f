"""Makefiles that call melange in other ways than $(MELANGE): steps are confined, or nothing runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.builds import Make, apks, definition, run
from tests.torture.kills import environment


def passing_by(make: Make, tmp_path: Path, before: str, call: str) -> Path:
    """Make a distribution whose recipe calls melange in another way, and whose step marks the cache."""
    place = make(one=definition("one", runs=": >/var/cache/melange/mark"))
    (place / "cache").mkdir()
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("melange", "bwrap"):
        real = shutil.which(name, path=environment()["PATH"])
        # Whoever names the place of a program may have the others in PATH beside it.
        text = f'#!/bin/sh\nPATH={programs}:$PATH\nexec {real} "$@"\n'
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    text = (place / "Makefile").read_text()
    assert "${MELANGE} build" in text
    changed = text.replace("${MELANGE} build", f"{call.format(place=programs)} build")
    (place / "Makefile").write_text(before.format(place=programs) + changed)
    return place


@pytest.mark.parametrize(
    ("before", "call"),
    [
        ("export PATH := {place}:$(PATH)\n", "${{MELANGE}}"),
        ("packages/%: export PATH := {place}:$(PATH)\n", "${{MELANGE}}"),
        ("", "PATH={place}:$$$$PATH ${{MELANGE}}"),
        ("", "env PATH={place}:/usr/bin:/bin ${{MELANGE}}"),
        ("", "${{MELANGE}} --log-level debug"),
        ("", "$$$$(realpath ${{MELANGE}})"),
        ("export PATH := /nowhere:$(PATH)\n", "melange"),
        ("", "PATH=$$$$PATH:{place} melange"),
    ],
)
def test_steps_are_confined_where_melange_is_called_as_it_should_be(
    make: Make, tmp_path: Path, before: str, call: str
) -> None:
    place = passing_by(make, tmp_path, before, call)
    code, _, said = run(place)
    assert code == 0, said
    assert " open" not in said
    assert apks(place) == ["one-1-r0.apk"]
    assert not (place / "cache/mark").exists()


@pytest.mark.parametrize(
    ("before", "call", "code", "why"),
    [
        ("", "{place}/melange", 2, "calls {place}/melange, which is not the melange in PATH"),
        ("P = {place}\n", "$(P)/melange", 2, "calls {place}/melange, which is not the melange"),
        ("", "PATH={place}:$$$$PATH melange", 2, "looks for programs in {place} first"),
        ("", "sudo melange", 2, "calls melange by sudo, which gives it another PATH"),
        ("export PATH := {place}:$(PATH)\n", "melange", 1, "its recipes find {place}/bwrap"),
        ("export PATH := $(shell echo {place}):$(PATH)\n", "melange", 1, "find {place}/bwrap"),
        ("override MELANGE = {place}/melange\n", "${{MELANGE}}", 2, "calls {place}/melange, which"),
        (
            "override MELANGE := $(shell which melange)\nexport PATH := {place}:$(PATH)\n",
            "$(MELANGE)",
            1,
            "its recipes find {place}/bwrap",
        ),
        ("RUNNER = --runner=docker\n", "${{MELANGE}}", 1, "melange is to run steps with docker"),
        ("RUNNER = --runner qemu\n", "melange", 1, "melange is to run steps with qemu"),
    ],
)
def test_nothing_runs_where_the_makefile_passes_the_sandbox_by(
    make: Make, tmp_path: Path, before: str, call: str, code: int, why: str
) -> None:
    place = passing_by(make, tmp_path, before, call)
    if "RUNNER" in before:
        text = (place / "Makefile").read_text()
        (place / "Makefile").write_text(text.replace("--runner bubblewrap", "$(RUNNER)"))
    ended, _, said = run(place)
    assert ended == code, said
    assert why.format(place=tmp_path / "programs") in said
    assert "trust all steps with --trust-steps" in said
    assert apks(place) == []
    assert not (place / "cache/mark").exists()


@pytest.mark.parametrize(
    ("before", "call"), [("", "{place}/melange"), ("export PATH := {place}:$(PATH)\n", "melange")]
)
def test_who_trusts_all_steps_may_call_any_melange(
    make: Make, tmp_path: Path, before: str, call: str
) -> None:
    place = passing_by(make, tmp_path, before, call)
    code, _, said = run(place, "--trust-steps")
    assert code == 0, said
    assert apks(place) == ["one-1-r0.apk"]
    assert (place / "cache/mark").exists()


def test_a_melange_that_leads_elsewhere_by_itself_is_told_of_afterwards(
    make: Make, tmp_path: Path
) -> None:
    place = passing_by(make, tmp_path, "", "bash ./builds.sh")
    text = f'#!/bin/sh\nPATH={tmp_path}/programs:$PATH exec melange "$@"\n'
    (place / "builds.sh").write_text(text)
    code, _, said = run(place)
    assert code == 1, said
    assert "dag: the steps of this build were not confined, because melange did not call" in said
    assert apks(place) == []


def test_the_doctor_tells_of_a_call_that_passes_the_sandbox_by(make: Make, tmp_path: Path) -> None:
    place = passing_by(make, tmp_path, "", "{place}/melange")
    _, out, _ = run(place, "--on=local", command="doctor")
    assert out.count(f"calls {tmp_path}/programs/melange, which is not the melange in PATH") == 1
    _, out, _ = run(place, "--on=local", "--trust-steps", command="doctor")
    assert "which is not the melange" not in out
