"""`dag build` as people run it: real make, real melange, real bubblewrap."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dag.core.scripts import read_trailer
from dag.io.limits import detect
from dag.io.processes import _below
from tests import melange
from tests.torture.distribution import contents, generate, index
from tests.torture.kills import build, build_killed, dag, environment

SHARE = "/usr/share/torture"


def definition(
    name: str, *needs: str, runs: str = "true", version: str = "1", extra: str = ""
) -> str:
    packages = "".join(f"      - {need}\n" for need in ("busybox", *needs))
    steps = "".join(f"      {line}\n" for line in runs.splitlines())
    return (
        f"package:\n  name: {name}\n  version: {version}\n  epoch: 0\n  description: {name}\n"
        f"  copyright:\n    - license: MIT\n{extra}"
        f"environment:\n  contents:\n    packages:\n{packages}"
        f"pipeline:\n  - runs: |\n"
        f'      mkdir -p "${{{{targets.destdir}}}}{SHARE}"\n{steps}'
        f'      echo {name} >"${{{{targets.destdir}}}}{SHARE}/{name}"\n'
    )


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distribution with everything but packages."""
    place = tmp_path_factory.mktemp("distribution") / "empty"
    generate(place, count=0, seed=0)
    return place


Make = Callable[..., Path]


@pytest.fixture
def make(empty: Path, tmp_path: Path) -> Make:
    """Write a distribution of these definitions."""

    def make(**definitions: str) -> Path:
        place = tmp_path / "d"
        place.mkdir(exist_ok=True)
        rules = []
        for name, text in definitions.items():
            (place / f"{name}.yaml").write_text(text)
            version = next(
                line.split()[1] for line in text.splitlines() if line.startswith("  version:")
            )
            rules.append(f"$(eval $(call build-package,{name},{version}-r0))\n")
        makefile = (empty / "Makefile").read_text()
        (place / "Makefile").write_text(makefile + "".join(rules))
        (place / "dag.toml").write_text(
            f'repository = ["{empty}/bootstrap"]\nkeyring = ["{empty}/bootstrap/bootstrap.rsa.pub"]\n'
        )
        return place

    return make


def run(place: Path, *words: str, command: str = "build", **more: str) -> tuple[int, str, str]:
    """Run `dag build` to its end: exit code, stdout, stderr; `more` is of its environment."""
    process = subprocess.run(
        [sys.executable, "-m", "dag", command, *words],
        cwd=place,
        env={**environment(), **more},
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stdout, process.stderr


def apks(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "packages" / "x86_64").glob("*.apk"))


def leftovers(place: Path) -> list[Path]:
    return list((place / "packages" / ".dag" / "work").iterdir())


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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk on which there is not much room."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_waited_for_and_one_that_cannot_be_written_is_said(
    make: Make, disk: Path
) -> None:
    place = make(a=definition("a"), b=definition("b", "a"))
    command = [sys.executable, "-m", "dag", "build", "--store", str(disk)]
    with subprocess.Popen(
        command, cwd=place, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("dag: a: no space left on device; again in 2"):
                subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
    assert process.returncode == 0, said
    assert said[-1].startswith("dag: 2 built in")
    assert index(disk) == ["a-1-r0.apk", "b-1-r0.apk"]
    assert list((disk / ".dag/work").iterdir()) == []

    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    code, _, message = run(place, "--store", str(disk), "--rebuild=all")
    assert code == 3
    assert f"the store {disk} cannot be locked: Read-only file system" in message
    assert "hint: use another --store" in message


def test_a_store_is_a_repository_for_another_build_by_its_own_key_or_a_given_one(
    make: Make, empty: Path, tmp_path: Path
) -> None:
    place, store = make(base=definition("base")), tmp_path / "store"
    assert run(place, "--store", str(store))[0] == 0
    place = make(user=definition("user", "base", runs=f"test -s {SHARE}/base"))
    (place / "base.yaml").unlink()
    bootstrap = empty / "bootstrap"
    words = ["-r", str(bootstrap), "--keyring", str(bootstrap / "bootstrap.rsa.pub")]
    words += ["-r", str(store), "--keyring"]
    code, _, said = run(place, *words, str(store / ".dag/key/melange.rsa.pub"))
    assert code == 0, said

    key = tmp_path / "given.rsa"
    subprocess.run([melange.binary(), "keygen", key], check=True, capture_output=True)
    place = make(base=definition("base"))
    (place / "user.yaml").unlink()
    code, _, said = run(place, "--store", str(store), f"--signing-key={key}")
    assert code == 0, said
    with tarfile.open(store / "x86_64/APKINDEX.tar.gz") as archive:
        assert archive.getnames()[0] == ".SIGN.RSA256.given.rsa.pub"


def test_a_makefile_without_source_dir_builds_too(make: Make) -> None:
    place = make(a=definition("a", runs="test -f a.yaml"), b=definition("b", "a"))
    makefile = (place / "Makefile").read_text()
    assert "--source-dir ./$(1)/" in makefile
    (place / "Makefile").write_text(makefile.replace("--source-dir ./$(1)/", ""))
    code, _, said = run(place, "--timeout=60s")
    assert code == 0, said
    assert apks(place) == ["a-1-r0.apk", "b-1-r0.apk"]


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
    (place / "b.yaml").write_text(definition("b", "a", runs="echo again"))
    code, out, _ = run(place, "--dry-run", "--json", "--rebuild", "dependents")
    assert code == 0
    assert json.loads(out)["packages"] == {
        "b": {"version": "1-r0", "reason": "definition changed", "because": ""},
        "c": {"version": "1-r0", "reason": "dependency rebuilt", "because": "b"},
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
        bad=definition("bad", runs="echo the cause is here\nfalse"),
        behind=definition("behind", "bad"),
        beyond=definition("beyond", "behind"),
        good=definition("good"),
    )
    summary = tmp_path / "summary.md"
    code, out, said = run(place, "--json", "--junit", "junit.xml", GITHUB_STEP_SUMMARY=str(summary))
    assert code == 1
    assert "FAILED bad 1-r0: make ended with exit code 2" in said
    assert "the cause is here" in said
    assert "2 packages blocked by bad: behind, beyond" in said
    assert apks(place) == ["good-1-r0.apk"] == index(place / "packages")
    result = json.loads(out)
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


def running(place: Path, name: str) -> subprocess.Popen[str]:
    """Start a build, and return when the build script of `name` has begun to build."""
    process = dag(place, "build")
    log = place / "packages" / "logs" / "x86_64" / f"{name}.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "sleeping" in log.read_text()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


SLEEPER = definition("sleeper", runs="echo sleeping\nsleep 300")


def gone(place: Path) -> bool:
    """Whether every process of the builds at `place` ends, soon."""
    deadline = time.monotonic() + 10
    while _below(str(place.resolve())):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_ctrl_c_leaves_neither_processes_nor_workspaces(make: Make) -> None:
    place = make(first=definition("first"), sleeper=SLEEPER, last=definition("last", "sleeper"))
    process = running(place, "sleeper")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "stopped: interrupted" in said
    assert gone(place)
    assert leftovers(place) == []


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


def test_status_is_of_the_latest_run_also_after_one_that_was_killed(make: Make) -> None:
    place = make(sleeper=SLEEPER)
    process = running(place, "sleeper")
    process.kill()
    process.communicate()
    code, first, _ = run(place, command="status")
    assert code == 1
    assert "not running: it ended before its work was done" in first
    assert run(place, command="status")[1] == first  # no time passes for a run that is dead
    (place / "sleeper.yaml").write_text(definition("sleeper"))
    assert run(place)[0] == 0
    assert run(place)[0] == 0  # nothing to do
    code, out, _ = run(place, command="status")
    assert code == 0
    assert "not running" not in out


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


def test_a_dry_run_changes_nothing_and_waits_for_nobody(make: Make) -> None:
    place = make(sleeper=SLEEPER)
    code, out, said = run(place, "--dry-run")
    assert code == 0
    assert "sleeper 1-r0: missing" in out
    assert not (place / "packages").exists()
    process = running(place, "sleeper")
    code, again, said = run(place, "--dry-run")
    assert (code, again) == (0, out), said
    process.kill()
    process.communicate()
    assert gone(place)
    before = list((place / "packages").rglob("*"))
    code, again, said = run(place, "--dry-run")
    assert (code, again) == (0, out), said
    assert list((place / "packages").rglob("*")) == before


def test_status_of_a_run_that_was_killed_and_of_none(make: Make) -> None:
    place = make(sleeper=SLEEPER)
    code, out, said = run(place, command="status")
    assert (code, out) == (2, "")
    assert "packages: nothing was built here for x86_64" in said
    process = running(place, "sleeper")
    process.kill()
    process.communicate()
    assert gone(place)
    code, out, _ = run(place, command="status")
    assert code == 1
    assert "not running: it ended before its work was done" in out
    assert "1 not finished in" in out


def test_a_unit_that_takes_too_long_has_failed(make: Make) -> None:
    place = make(sleeper=SLEEPER)
    code, _, said = run(place, "--timeout", "4s")
    assert code == 1
    assert "FAILED sleeper 1-r0: took longer than 4 seconds" in said
    assert gone(place)


@pytest.mark.skipif(detect().name == "none", reason="no control groups may be written here")
def test_out_of_memory_is_tried_again_with_more_and_remembered(make: Make) -> None:
    hungry = definition("hungry", runs="head -c 300000000 /dev/zero | tail -n 1 | wc -c")
    place = make(hungry=hungry)
    code, out, said = run(place, "--ram", "160Mi", "--json")
    assert code == 0, said
    assert "out of memory: 0.156 GiB were not enough; again at once" in said
    (unit,) = json.loads(out)["units"]
    assert unit["attempts"] > 1
    code, out, said = run(place, "--ram", "160Mi", "--json", "--rebuild", "all")
    assert json.loads(out)["units"][0]["attempts"] == 1, said
    code, _, said = run(place, "--ram", "160Mi", "--max-ram", "100Mi", "--rebuild", "all")
    assert code == 0, said  # what is remembered is not taken away by a lower maximum
    hints = place / "packages" / ".dag" / "hints-x86_64.json"
    hints.unlink()
    code, _, said = run(place, "--ram", "160Mi", "--max-ram", "160Mi", "--rebuild", "all")
    assert code == 1
    assert "FAILED hungry 1-r0: out of memory: 0.156 GiB were not enough" in said


def test_what_make_has_built_is_not_built_again(make: Make) -> None:
    place = make(a=definition("a"), b=definition("b", "a"))
    code, _, _ = run(place, "a")
    assert code == 0
    for path in (place / "packages" / ".dag" / "records" / "x86_64").iterdir():
        path.unlink()
    code, _, said = run(place)
    assert code == 0, said
    assert "1 package to build for x86_64, 1 there already" in said


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


def test_killed_at_random_it_ends_equal_to_an_unbroken_build(tmp_path: Path) -> None:
    """A small one of `make torture`: 25 packages, 3 kills."""
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


@pytest.mark.parametrize("missing", ["make", "melange", "bwrap"])
def test_a_missing_program_is_named(make: Make, tmp_path: Path, missing: str) -> None:
    place = make(a=definition("a"))
    programs = tmp_path / "bin"
    programs.mkdir()
    path = environment()["PATH"]
    for name in {"make", "melange", "bwrap", "git"} - {missing}:
        (programs / name).symlink_to(str(shutil.which(name, path=path)))
    code, _, said = run(place, PATH=str(programs))
    assert code == 3
    assert f"dag: {missing} is not installed" in said
    assert "hint: install " in said


BACKGROUND = """\
packages/x86_64/a-1-r0.apk:
\t(setsid sleep 300 >/dev/null 2>&1 &)
\tcp $(GOOD) packages/x86_64/
\tfalse
"""


@pytest.mark.parametrize("holds", [True, False])
def test_what_a_build_leaves_in_the_background_ends_with_it(make: Make, holds: bool) -> None:
    place = make(a=definition("a"))
    (place / "Makefile").write_text(BACKGROUND)
    program = "import dag.io.limits as l, dag.run.build as b\nfrom dag.cli.main import run\n"
    program += "" if holds else "b.detect = l.Unlimited\n"
    code = subprocess.run(
        [sys.executable, "-c", f"{program}run()", "build"],
        cwd=place, env=environment(), capture_output=True, check=False,
    ).returncode  # fmt: skip
    assert code == 1
    assert not _below(str((place / "packages").resolve()))


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


def new_key(directory: Path) -> Path:
    key = directory / "my.rsa"
    melange = str(shutil.which("melange", path=environment()["PATH"]))
    subprocess.run([melange, "keygen", str(key)], check=True, capture_output=True)
    return key


def test_a_cycle_is_reported_opened_by_a_repository_and_stops_nothing_else(
    make: Make, empty: Path, tmp_path: Path
) -> None:
    place = make(
        a=definition("a"),
        egg=definition("egg", "hen"),
        hen=definition("hen", "egg"),
        chick=definition("chick", "egg"),
        other=definition("other", "a"),
    )
    code, out, said = run(place, "--dry-run")
    assert code == 1
    assert "egg → hen → egg" in out
    code, out, said = run(place, "--json")
    assert code == 1
    assert "a cycle of 2 packages cannot be built:\n    egg → hen → egg\n" in said
    assert "1 package blocked by cycles: chick" in said
    assert apks(place) == ["a-1-r0.apk", "other-1-r0.apk"] == index(place / "packages")
    assert json.loads(out)["stuck"][0]["cycles"] == [["egg", "hen"]]
    # Somebody has built egg once, without hen.
    (place / "egg.yaml").write_text(definition("egg"))
    key = new_key(tmp_path)
    code, _, said = run(place, "egg", "--store", str(tmp_path / "first"), "--signing-key", str(key))
    assert code == 0, said
    (place / "egg.yaml").write_text(definition("egg", "hen", version="2"))
    makefile = place / "Makefile"
    makefile.write_text(makefile.read_text().replace("egg,1-r0", "egg,2-r0"))
    with (place / "dag.toml").open("w") as file:
        file.write(f'repository = ["{empty}/bootstrap", "{tmp_path}/first"]\n')
        file.write(f'keyring = ["{empty}/bootstrap/bootstrap.rsa.pub", "{key}.pub"]\n')
    code, _, said = run(place, "-v")
    assert code == 0, said
    assert "hen is built with the repository's egg: a cycle" in said
    assert {"egg-2-r0.apk", "hen-1-r0.apk", "chick-1-r0.apk"} <= set(apks(place))


def test_a_place_for_a_report_that_is_not_there_is_said_before_the_build(make: Make) -> None:
    place = make(a=definition("a"))
    code, _, said = run(place, "--junit", "nowhere/junit.xml")
    assert code == 2
    assert "dag: --junit nowhere/junit.xml: there is no directory nowhere" in said
    assert not (place / "packages").exists()


def test_the_signing_key_signs_the_index(make: Make, tmp_path: Path) -> None:
    place = make(a=definition("a"))
    code, _, said = run(place, "--signing-key", str(new_key(tmp_path)))
    assert code == 0, said
    with tarfile.open(place / "packages" / "x86_64" / "APKINDEX.tar.gz", ignore_zeros=True) as tar:
        assert tar.getnames()[0] == ".SIGN.RSA256.my.rsa.pub"
