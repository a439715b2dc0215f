"""`dag build` as a user runs it, with real make, melange and bubblewrap."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dag.core.build.scripts import read_trailer
from tests.support.builds import (
    SHARE,
    Make,
    apks,
    definition,
    leftovers,
    run,
    running,
)
from tests.support.schema import checked
from tests.torture.distribution import contents, index
from tests.torture.kills import environment


def test_build_options_reach_melange_and_build_again_what_has_them(make: Make) -> None:
    extra = "options: {tls: {vars: {with: tls}}}\n"
    tells = f"echo ${{{{options.tls.enabled}}}} >${{{{targets.destdir}}}}{SHARE}/tls"
    place = make(a=definition("a", runs=tells, extra=extra), b=definition("b"))

    def has_tls() -> str:
        with tarfile.open(place / "packages/x86_64/a-1-r0.apk") as apk:
            file = apk.extractfile(f"{SHARE}/tls".lstrip("/"))
            assert file is not None
            return file.read().decode()

    code, _, said = run(place)
    assert code == 0, said
    assert has_tls() == "false\n"
    code, _, said = run(place, "--build-option=tls")
    assert code == 0, said
    assert [line.split()[2] for line in said.splitlines() if line.startswith("dag: built ")] == [
        "a"
    ]
    assert has_tls() == "true\n"
    code, out, _ = run(place, "--build-option=tls", "--dry-run")
    assert code == 0
    assert out == "skipped a 1-r0: in the store\nskipped b 1-r0: in the store\n"


def test_a_makefile_without_source_dir_builds_too(make: Make) -> None:
    place = make(a=definition("a", runs="test -f a.yaml"), b=definition("b", "a"))
    makefile = (place / "Makefile").read_text()
    assert "--source-dir ./$(1)/" in makefile
    (place / "Makefile").write_text(makefile.replace("--source-dir ./$(1)/", ""))
    code, _, said = run(place, "--timeout=60s")
    assert code == 0, said
    assert apks(place) == ["a-1-r0.apk", "b-1-r0.apk"]


def test_workspaces_are_spread_over_the_disk_where_it_knows_that(make: Make) -> None:
    place = make(a=definition("a"))
    code, _, said = run(place)
    assert code == 0, said

    def flags(directory: Path, more: int = 0) -> int:
        opened = os.open(directory, os.O_RDONLY)
        try:
            (found,) = struct.unpack("i", fcntl.ioctl(opened, 0x80086601, bytes(4)))
            if more:
                fcntl.ioctl(opened, 0x40086602, struct.pack("i", found | more))
        except OSError:
            return 0  # the file system has no such flags
        finally:
            os.close(opened)
        return int(found)

    work, like = place / "packages/.dag/work", place / "like"
    like.mkdir()
    flags(like, 0x00020000)  # chattr +T
    assert flags(work) == flags(like)


def test_pipelines_of_another_directory_reach_melange(make: Make, tmp_path: Path) -> None:
    more = tmp_path / "more pipelines"
    more.mkdir()
    write = f"echo written >${{{{targets.destdir}}}}{SHARE}/by-pipeline"
    (more / "write.yaml").write_text(f"needs: {{packages: [b]}}\npipeline: [{{runs: '{write}'}}]\n")
    place = make(a=definition("a") + "  - uses: write\n", b=definition("b"))
    code, _, said = run(place, "--pipeline-dir", str(more), "a")
    assert code == 0, said
    assert apks(place) == ["a-1-r0.apk", "b-1-r0.apk"]
    with tarfile.open(place / "packages/x86_64/a-1-r0.apk") as apk:
        assert f"{SHARE}/by-pipeline".lstrip("/") in apk.getnames()


def test_builds_in_order_then_nothing_then_what_has_changed(make: Make) -> None:
    place = make(
        a=definition("a"),
        b=definition("b", "a", runs=f"test -s {SHARE}/a"),
        c=definition("c", "b", runs=f"test ! -e {SHARE}/a\ntest -s {SHARE}/b"),
    )
    code, _, said = run(place)
    assert code == 0, said
    assert [line.split()[2] for line in said.splitlines() if line.startswith("dag: built ")] == [
        *"abc"
    ]
    assert apks(place) == ["a-1-r0.apk", "b-1-r0.apk", "c-1-r0.apk"] == index(place / "packages")
    for name in "abc":
        lines = (place / "packages" / "logs" / "x86_64" / f"{name}.log").read_text().splitlines()
        end = read_trailer(lines[-1])
        assert end is not None
        assert end.lines == len(lines) - 1
    before = contents(place / "packages")
    code, _, said = run(place)
    assert code == 0
    assert "0 packages to build for x86_64, 3 there already" in said
    assert "melange must find" not in said
    (place / "b.yaml").write_text(definition("b", "a", runs="echo again"))
    code, out, _ = run(place, "--dry-run", "--json", "--rebuild", "dependents")
    assert code == 0
    assert checked(out, "plan")["packages"] == {
        "b": {"version": "1-r0", "reason": "definition changed", "because": "", "file": "b.yaml"},
        "c": {"version": "1-r0", "reason": "dependency rebuilt", "because": "b", "file": "c.yaml"},
    }
    code, _, said = run(place, "--rebuild", "dependents")
    assert code == 0, said
    after = contents(place / "packages")
    assert before["a-1-r0.apk"] == after["a-1-r0.apk"]
    assert before["b-1-r0.apk"] != after["b-1-r0.apk"]
    assert leftovers(place) == []


def test_a_failure_blocks_what_needs_it_and_every_report_says_so(
    make: Make, tmp_path: Path
) -> None:
    place = make(
        bad=definition("bad", "good", runs="echo the cause is here\nfalse"),
        behind=definition("behind", "bad"),
        beyond=definition("beyond", "behind"),
        good=definition("good"),
    )
    summary = tmp_path / "summary.md"
    code, out, said = run(place, "--json", "--junit", "junit.xml", GITHUB_STEP_SUMMARY=str(summary))
    assert code == 1
    failed = "dag: FAILED bad 1-r0: exit status 1 in a step; its log is packages/.dag/runs/"
    lines = said.splitlines()
    told = next(number for number, line in enumerate(lines) if line.startswith(failed))
    assert lines[told + 1] == "    the cause is here"
    assert not lines[told + 2].startswith(" ")
    assert said.count("the cause is here") == 1
    assert "2 packages blocked by bad: behind, beyond" in said
    assert apks(place) == ["good-1-r0.apk"] == index(place / "packages")
    result = checked(out, "result")
    assert result["exit_code"] == 1
    states = {unit["name"]: (unit["state"], unit["blocked_by"]) for unit in result["units"]}
    assert states == {
        "bad": ("failed", None),
        "behind": ("blocked", "bad"),
        "beyond": ("blocked", "bad"),
        "good": ("done", None),
    }
    suite = ET.parse(place / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "2")
    assert "the cause is here" in summary.read_text()
    assert "| behind | 1-r0 | blocked |" in summary.read_text()
    code, out, _ = run(place, command="status")
    assert code == 1
    assert "1 built, 1 failed, 2 blocked" in out
    code, out, _ = run(place, "--all", "--json", command="status")
    assert code == 0
    assert [one["exit_code"] for one in checked(out, "runs")["runs"]] == [1]
    assert leftovers(place) == []
    (place / "bad.yaml").write_text(definition("bad"))
    code, _, said = run(place)
    assert code == 0, said
    assert "3 packages to build for x86_64, 1 there already" in said


def test_what_the_environment_needs_at_run_time_is_there(make: Make) -> None:
    needs = "  dependencies:\n    runtime:\n      - lib\n"
    place = make(
        app=definition("app", "tool", runs=f"test -s {SHARE}/lib"),
        tool=definition("tool", extra=needs),
        lib=definition("lib"),
    )
    code, _, said = run(place, "app", "--jobs", "1")
    assert code == 0, said
    assert apks(place) == ["app-1-r0.apk", "lib-1-r0.apk", "tool-1-r0.apk"]


LIE = """\
packages/%.apk:
\tmkdir -p packages/x86_64
\t{}
"""


@pytest.mark.parametrize(
    ("recipe", "cause"),
    [
        ("true", "make ended well but built no a-1-r0.apk"),
        ("head -c 300 $(GOOD) >$@", "a-1-r0.apk: "),
        ("cp $(GOOD) $@", "a-1-r0.apk says that it is good 1-r0 of good for x86_64"),
    ],
)
def test_a_build_is_done_only_if_it_made_what_it_promised(
    make: Make, recipe: str, cause: str
) -> None:
    place = make(good=definition("good"), a=definition("a"))
    code, _, _ = run(place, "good")
    assert code == 0
    good = place / "packages" / "x86_64" / "good-1-r0.apk"
    (place / "Makefile").write_text(f"GOOD = {good}\n{LIE.format(recipe)}")
    code, _, said = run(place, "a")
    assert code == 1
    assert f"FAILED a 1-r0: {cause}" in said
    assert apks(place) == ["good-1-r0.apk"]


def test_the_user_s_environment_does_not_reach_make(make: Make) -> None:
    place = make(a=definition("a"))
    text = (place / "Makefile").read_text()
    seen = place / "seen"
    (place / "Makefile").write_text(f"$(shell env >{seen})\n{text}")
    code, _, said = run(place, "--make-var", "MINE=yes", SECRET="hidden")
    assert code == 0, said
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert not names & {"REPO", "KEY", "SECRET", "DAG_STORE", "PYTHONPATH", "GITHUB_STEP_SUMMARY"}
    assert "MAKEFLAGS" not in names or "k" not in seen.read_text().split("MAKEFLAGS=")[1][:3]


def test_since_asks_for_what_has_changed(make: Make) -> None:
    place = make(a=definition("a"), b=definition("b", "a"), c=definition("c"))
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(place)]
    (place / ".gitignore").write_text("packages/\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(
            [*git, *words], check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
        )
    (place / "b.yaml").write_text(definition("b", "a", version="2"))
    code, out, said = run(place, "--since", "HEAD", "--dry-run", "--json")
    assert code == 0, said
    assert list(json.loads(out)["packages"]) == ["a", "b"]
    (place / "b.yaml").write_text(definition("b", "a"))
    code, _, said = run(place)
    assert code == 0, said
    (place / "a.yaml").write_text(definition("a", runs="echo again"))
    code, out, said = run(place, "--since", "HEAD", "--dry-run", "--json")
    assert list(json.loads(out)["packages"]) == ["a"], said
    dependents = ("--rebuild", "dependents")
    code, out, said = run(place, "--since", "HEAD", *dependents, "--dry-run", "--json")
    assert list(json.loads(out)["packages"]) == ["a", "b"], said
    (place / "a.yaml").write_text(definition("a"))
    code, _, said = run(place, "--since", "HEAD")
    assert code == 0
    assert "nothing has changed since HEAD" in said
    (place / "a.yaml").write_text(definition("a") + "\t")
    code, _, said = run(place, "--since", "HEAD")
    assert code == 2
    assert "what has changed is broken: a.yaml" in said
    assert "nothing has changed" not in said
    code, _, said = run(place, "c", "--since", "HEAD")
    assert code == 0, said


def test_what_changes_during_the_build_is_built_as_it_was_or_not_at_all(make: Make) -> None:
    sleeper = definition("sleeper", runs="echo sleeping\nsleep 2")
    place = make(sleeper=sleeper, a=definition("a", "sleeper"), b=definition("b", "sleeper"))
    (place / "b").mkdir()
    large = place / "b" / "large"
    large.write_bytes(bytes(3 << 20))
    process = running(place, "sleeper")
    (place / "a.yaml").write_text(definition("a", "sleeper", runs="false"))
    large.write_bytes(bytes(3 << 20))
    _, said = process.communicate()
    assert process.returncode == 1
    assert "FAILED b 1-r0: b/large changed while it was read" in said
    assert apks(place) == ["a-1-r0.apk", "sleeper-1-r0.apk"]
    _, out, _ = run(place, "--dry-run", "--json")
    reasons = {name: one["reason"] for name, one in json.loads(out)["packages"].items()}
    assert reasons == {"a": "definition changed", "b": "missing"}


def test_what_is_not_for_this_architecture_is_named(make: Make) -> None:
    place = make(
        a=definition("a", "nowhere"),
        b=definition("b", extra="  target-architecture: [aarch64, s390x]\n"),
    )
    code, _, said = run(place, "--dry-run")
    assert code == 0
    assert "1 package to build for x86_64, 0 there already, not for x86_64: b\n" in said
    assert "melange must find in another repository: nowhere; -v names who needs them\n" in said


@pytest.mark.parametrize("missing", ["make", "melange", "bwrap", "unshare"])
def test_a_missing_program_is_named(make: Make, tmp_path: Path, missing: str) -> None:
    place = make(a=definition("a"))
    programs = tmp_path / "bin"
    programs.mkdir()
    path = environment()["PATH"]
    for name in {"make", "melange", "bwrap", "unshare", "git"} - {missing}:
        (programs / name).symlink_to(str(shutil.which(name, path=path)))
    code, _, said = run(place, PATH=str(programs))
    assert code == 3
    assert f"dag: {missing} is not installed" in said
    assert "hint: install " in said


def test_a_program_is_not_missed_where_nothing_is_to_be_built(make: Make, tmp_path: Path) -> None:
    place = make(a=definition("a"))
    assert run(place)[0] == 0
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.symlink_to(str(shutil.which("git", path=environment()["PATH"])))
    code, _, said = run(place, PATH=str(git.parent))
    assert (code, "1 there already" in said) == (0, True), said
    code, _, said = run(place, "nope", PATH=str(git.parent))
    assert (code, "nope" in said) == (2, True), said


def test_a_promised_subpackage_that_is_not_there_is_a_failure(make: Make) -> None:
    more = "subpackages:\n  - name: a-doc\n    pipeline:\n      - runs: mkdir -p x\n"
    place = make(a=definition("a") + more)
    melange = shutil.which("melange", path=environment()["PATH"])
    tool = place / "melange"
    tool.write_text(f'#!/bin/sh\n{melange} "$@" || exit\nrm -f packages/x86_64/a-doc*\n')
    tool.chmod(0o755)
    code, _, said = run(place, "--make-var", "MELANGE=./melange")
    assert code == 1
    assert "FAILED a 1-r0: make ended well but built no a-doc-1-r0.apk" in said
    assert apks(place) == []


def test_a_place_for_a_report_that_is_not_there_is_said_before_the_build(make: Make) -> None:
    place = make(a=definition("a"))
    code, _, said = run(place, "--junit", "nowhere/junit.xml")
    assert code == 2
    assert "dag: --junit nowhere/junit.xml: there is no directory nowhere" in said
    assert not (place / "packages").exists()
