"""`dag build` is interrupted or killed, or runs out of time or memory."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from dag.io.build.confinement import detect
from dag.io.build.processes import _below
from dag.io.store.lock import Lock
from tests.support.builds import (
    SLEEPER,
    Make,
    definition,
    gone,
    leftovers,
    run,
    running,
)
from tests.torture.distribution import contents, generate, index
from tests.torture.kills import build, build_killed, dag, environment


def test_ctrl_c_leaves_neither_processes_nor_workspaces(make: Make) -> None:
    place = make(first=definition("first"), sleeper=SLEEPER, last=definition("last", "sleeper"))
    process = running(place, "sleeper")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "stopped: interrupted" in said
    assert gone(place)
    assert leftovers(place) == []
    code, out, _ = run(place, "--json", command="status")
    assert (code, json.loads(out)["exit_code"]) == (130, 130)


def test_a_killed_build_takes_its_processes_with_it_and_the_next_goes_on(make: Make) -> None:
    place = make(sleeper=SLEEPER)
    process = running(place, "sleeper")
    process.kill()
    process.communicate()
    assert gone(place)  # before anybody cleans up
    assert leftovers(place) != []
    (place / "sleeper.yaml").write_text(definition("sleeper"))
    code, _, said = run(place)
    assert code == 0, said
    assert leftovers(place) == []


def test_a_second_build_on_a_store_is_refused_or_waits(make: Make) -> None:
    place = make(sleeper=SLEEPER)
    process = running(place, "sleeper")
    code, _, said = run(place)
    assert code == 3
    assert f"is in use by process {process.pid} on " in said
    code, out, _ = run(place, command="status")
    assert code == 0
    assert "running sleeper 1-r0 for " in out
    assert "running; 1 of 1 units are left" in out
    (place / "sleeper.yaml").write_text(definition("sleeper"))
    waiting = dag(place, "build", "--wait")
    assert waiting.stderr is not None
    assert "waiting: the store" in waiting.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 130
    waiting.communicate()
    assert waiting.returncode == 0


def test_status_of_a_run_that_was_killed_and_of_none(make: Make) -> None:
    place = make(sleeper=SLEEPER)
    code, out, said = run(place, command="status")
    assert (code, out) == (2, "")
    assert "packages: nothing was built here" in said
    process = running(place, "sleeper")
    process.kill()
    process.communicate()
    assert gone(place)
    code, out, _ = run(place, command="status")
    assert code == 1
    assert "not running: it ended before its work was done" in out
    assert "1 not finished in" in out
    assert run(place, command="status")[1] == out  # no time passes for a run that is dead
    # A build for another architecture does not mean that this one is alive.
    with Lock(place / "packages/.dag/lock", what="the store"):
        assert run(place, command="status")[1] == out
    (place / "sleeper.yaml").write_text(definition("sleeper"))
    assert run(place)[0] == 0
    assert run(place)[0] == 0  # There is nothing to do, and it is the latest run all the same.
    code, out, _ = run(place, command="status")
    assert code == 0
    assert "not running" not in out


def test_a_unit_that_takes_too_long_has_failed(make: Make) -> None:
    place = make(sleeper=SLEEPER)
    code, _, said = run(place, "--timeout", "4s")
    assert code == 1
    assert "FAILED sleeper 1-r0: took longer than 4 seconds" in said
    assert gone(place)


@pytest.mark.skipif(detect().name == "none", reason="no control groups may be written here")
def test_out_of_memory_is_tried_again_with_more_and_remembered(make: Make) -> None:
    # More than 160 MiB, and well below twice as much.
    hungry = definition("hungry", runs="head -c 240000000 /dev/zero | tail -n 1 | wc -c")
    place = make(hungry=hungry)
    code, out, said = run(place, "--ram", "160Mi", "--json")
    assert code == 0, said
    assert "out of memory: 160 MiB were not enough; it is tried again at once" in said
    (unit,) = json.loads(out)["units"]
    assert unit["attempts"] > 1
    assert 160 << 20 < unit["used"]["ram"] <= unit["ram"]
    assert 0 < unit["used"]["cpu_seconds"] < 60
    code, out, said = run(place, "--ram", "160Mi", "--json", "--rebuild", "all")
    assert json.loads(out)["units"][0]["attempts"] == 1, said
    code, _, said = run(place, "--ram", "160Mi", "--max-ram", "100Mi", "--rebuild", "all")
    assert code == 0, said  # a lower maximum does not take away what is remembered
    hints = place / "packages" / ".dag" / "hints-x86_64.json"
    hints.unlink()
    code, _, said = run(place, "--ram", "160Mi", "--max-ram", "160Mi", "--rebuild", "all")
    assert code == 1
    assert "FAILED hungry 1-r0: out of memory: 160 MiB were not enough" in said


def test_a_sandbox_that_lost_a_mount_of_the_machine_is_made_again(
    make: Make, tmp_path: Path
) -> None:
    place = make(a=definition("a", runs="echo in the sandbox"))
    real = shutil.which("bwrap", path=environment()["PATH"])
    bwrap = tmp_path / "bin/bwrap"
    bwrap.parent.mkdir()
    bwrap.write_text(ONCE.format(lost=tmp_path / "lost", real=real))
    bwrap.chmod(0o755)
    code, out, said = run(place, "--json", PATH=f"{bwrap.parent}:{environment()['PATH']}")
    assert code == 0, said
    assert "a: /run/x went away while a sandbox was made; it is tried again in " in said
    assert json.loads(out)["units"][0]["attempts"] == 2


ONCE = """\
#!/bin/sh
case "$*" in
  *--unshare-ipc*'in the sandbox'*)
    if ! [ -e '{lost}' ]; then
      : >'{lost}'
      printf '%s ' "bwrap: Can't bind mount /oldroot/ on /newroot/:" >&2
      echo 'Unable to apply mount flags: remount "/newroot/run/x": Invalid argument' >&2
      exit 1
    fi
    ;;
esac
exec '{real}' "$@"
"""
"""A bwrap that fails the first time that it should run the step: a real one does when it happens."""


def test_killed_at_random_it_ends_equal_to_an_unbroken_build(tmp_path: Path) -> None:
    """This is `make torture` in small: 25 packages and 3 kills."""
    place = tmp_path / "d"
    generate(place, count=25, seed=7)
    build(place, tmp_path / "one", "--jobs", "1")
    names, killed = build_killed(place, tmp_path / "many", "--jobs", "4", kills=3, seed=7, most=10)
    assert killed == 3
    assert len(names) == len(set(names)), "a finished unit was built again"
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert index(tmp_path / "many") == index(tmp_path / "one") == sorted(contents(tmp_path / "one"))
    assert list((tmp_path / "many" / ".dag" / "work").iterdir()) == []
    hidden = [path.name for path in (tmp_path / "many").rglob(".tmp*")]
    assert hidden == []


BACKGROUND = """\
packages/x86_64/a-1-r0.apk:
\t(setsid sleep 300 >/dev/null 2>&1 &)
\t(exec 9>>kept; cd / && setsid env -i sleep 30017 >/dev/null 2>&1 &)
\tcp $(GOOD) packages/x86_64/
\tfalse
"""

WITHOUT_GROUPS = (
    "unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh",
)  # fmt: skip
"""What runs a program where there are no control groups."""


@pytest.mark.parametrize("holds", [True, False])
def test_what_a_build_leaves_in_the_background_ends_with_it(make: Make, holds: bool) -> None:
    place = make(a=definition("a"))
    (place / "Makefile").write_text(BACKGROUND)
    done = subprocess.run(
        [*([] if holds else WITHOUT_GROUPS), sys.executable, "-m", "dag", "build"],
        cwd=place, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert ("memory is not limited" in done.stderr) is not holds, done.stderr
    assert not _below(str((place / "packages").resolve()))
    assert sleeping("30017") == []


def sleeping(seconds: str) -> list[Path]:
    """Return the processes that sleep for just so long."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if process.read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(process)
    return found


LOOKS = """\
packages/x86_64/a-1-r0.apk:
\t@echo left: $$(ls -A ../../../trash | head -n 3)
\t@false
"""


def test_the_first_unit_does_not_wait_for_the_removal_of_what_a_dead_run_has_left(
    make: Make,
) -> None:
    place = make(a=definition("a"))
    (place / "Makefile").write_text(LOOKS)
    for number in range(60):
        left = place / f"packages/.dag/work/dead.{number}/workspace"
        left.mkdir(parents=True)
        for other in range(1000):
            (left / str(other)).touch()
    code, _, said = run(place)
    assert code == 1
    log = (place / "packages/logs/x86_64/a.log").read_text()
    assert re.search("^left: [0-9a-f]+", log, re.MULTILINE), log
    assert leftovers(place) == []
    assert list((place / "packages/.dag/trash").iterdir()) == [], said
