"""`dag build` if packages, links or stores are elsewhere than before, or than they seem to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.builds import SHARE, Make, apks, definition, new_key, run
from tests.torture.distribution import index
from tests.torture.kills import environment


def sub(name: str, runs: str = "true") -> str:
    write = f"{runs}; mkdir -p ${{{{targets.subpkgdir}}}}{SHARE}; echo x >${{{{targets.subpkgdir}}}}{SHARE}/{name}"
    return f"subpackages:\n  - name: {name}\n    pipeline: [{{runs: '{write}'}}]\n"


@pytest.mark.parametrize("to", ["another", "its own"])
def test_a_subpackage_that_moves_to_another_definition_is_there_afterwards(
    make: Make, to: str
) -> None:
    place = make(foo=definition("foo") + sub("foo-dev"), bar=definition("bar"))
    assert run(place)[0] == 0
    if to == "another":
        make(foo=definition("foo", runs="sleep 1"), bar=definition("bar") + sub("foo-dev"))
    else:
        make(foo=definition("foo", runs="sleep 1"), **{"foo-dev": definition("foo-dev")})
        (place / "bar.yaml").unlink()
    code, _, said = run(place)
    assert code == 0, said
    assert "foo-dev-1-r0.apk" in apks(place)
    assert index(place / "packages") == apks(place)
    code, _, said = run(place)
    assert "0 packages to build" in said
    with tarfile.open(place / "packages/x86_64/foo-dev-1-r0.apk") as apk:
        info = apk.extractfile(".PKGINFO")
        assert info is not None
        assert f"origin = {'bar' if to == 'another' else 'foo-dev'}\n".encode() in info.read()


def test_what_is_provided_today_goes_before_what_once_had_the_name(make: Make) -> None:
    place = make(old=definition("old"))
    assert run(place)[0] == 0
    (place / "old.yaml").unlink()
    provides = "  dependencies: {provides: [old=2]}\n"
    make(
        new=definition("new", version="2", extra=provides),
        use=definition("use", "old", runs=f"test -e {SHARE}/new\ntest ! -e {SHARE}/old"),
    )
    code, _, said = run(place)
    assert code == 0, said


def test_the_version_that_is_defined_goes_before_another_one_in_the_store(
    make: Make, empty: Path, tmp_path: Path
) -> None:
    place = make(a=definition("a", runs="echo one >one"))
    published = tmp_path / "published"
    key = new_key(tmp_path)
    assert run(place, "--store", str(published), f"--signing-key={key}")[0] == 0
    make(a=definition("a", version="2", runs=f"touch ${{{{targets.destdir}}}}{SHARE}/two"))
    assert run(place)[0] == 0
    make(
        a=definition("a", runs="echo one >one"),
        b=definition("b", "a", runs=f"test ! -e {SHARE}/two"),
    )
    bootstrap = empty / "bootstrap"
    words = ["-r", str(bootstrap), "--keyring", str(bootstrap / "bootstrap.rsa.pub")]
    words += ["-r", str(published), "--keyring", f"{key}.pub"]
    code, _, said = run(place, *words)
    assert code == 0, said + (place / "packages/logs/x86_64/b.log").read_text()


def test_what_links_lead_to_counts_for_a_package(make: Make) -> None:
    place = make(
        a=definition("a"),
        b=definition("b"),
        c=definition("c"),
        d=definition("d") + "  - uses: linked/step\n",
    )
    for name in ("common", "b", "steps", "pipelines", "a"):
        (place / name).mkdir(exist_ok=True)
    (place / "a.yaml").rename(place / "common/a.txt")
    (place / "a.yaml").symlink_to("common/a.txt")
    # It is in the directory of another package, too.
    (place / "c.yaml").rename(place / "a/c.yaml")
    (place / "c.yaml").symlink_to("a/c.yaml")
    (place / "common/file").write_text("shared\n")
    (place / "b/l").symlink_to("../common")
    (place / "steps/step.yaml").write_text("pipeline: [{runs: 'true'}]\n")
    (place / "pipelines/linked").symlink_to("../steps")
    words = ("--json", "--pipeline-dir", "pipelines")
    code, _, said = run(place, *words)
    assert code == 0, said

    def built(*names: str) -> None:
        code, out, said = run(place, *words)
        assert code == 0, said
        assert [unit["name"] for unit in json.loads(out)["units"]] == [*names]

    built()
    (place / "common/a.txt").write_text(definition("a", runs="echo again"))
    built("a", "b")  # b links to the whole directory
    (place / "common/file").write_text("shared again\n")
    built("b")
    (place / "a/c.yaml").write_text(definition("c", runs="echo again"))
    built("a", "c")
    (place / "steps/step.yaml").write_text("pipeline: [{runs: 'echo again'}]\n")
    built("d")


def test_a_store_and_a_directory_behind_links(make: Make, tmp_path: Path) -> None:
    place = make(a=definition("a"), b=definition("b", "a"))
    (tmp_path / "link").symlink_to(place)
    (tmp_path / "disk").mkdir()
    (place / "packages").symlink_to(tmp_path / "disk")
    code, _, said = run(tmp_path, "--dir", "link")
    assert code == 0, said
    assert index(tmp_path / "disk") == ["a-1-r0.apk", "b-1-r0.apk"]


@pytest.mark.parametrize("made", ["mkfifo $@", "mkdir $@", "ln -s $(GOOD) $@", "ln -s nothing $@"])
def test_only_ordinary_files_are_packages(make: Make, made: str) -> None:
    place = make(good=definition("good"), a=definition("a"))
    assert run(place, "good")[0] == 0
    good = place / "packages/x86_64/good-1-r0.apk"
    (place / "Makefile").write_text(
        f"GOOD = {good}\npackages/%.apk:\n\tmkdir -p packages/x86_64\n\t{made}\n"
    )
    code, _, said = run(place, "a", "--timeout=60s")
    assert code == 1
    assert "FAILED a 1-r0: a-1-r0.apk is not an ordinary file" in said


def test_who_leaves_ends_the_printing_not_the_build(make: Make, tmp_path: Path) -> None:
    place = make(a=definition("a"), b=definition("b", "a"))
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "dag", "build", "--json", f"--junit={report}"]
    read, write = os.pipe()
    os.close(read)
    for streams in ({"stdout": write}, {"stderr": write}, {"stdout": write, "stderr": write}):
        report.unlink(missing_ok=True)
        subprocess.run(["rm", "-rf", place / "packages"], check=True)
        done = subprocess.run(
            command,
            cwd=place,
            env=environment(),
            check=False,
            stdout=streams.get("stdout"),
            stderr=streams.get("stderr"),
        )
        assert done.returncode == 0
        assert report.exists()
        assert index(place / "packages") == ["a-1-r0.apk", "b-1-r0.apk"]
    os.close(write)
    # Who asks for a result and closes what it would be written to does not get it.
    for words, code in ((command, 3), ([one for one in command if one != "--json"], 0)):
        subprocess.run(["rm", "-rf", place / "packages"], check=True)
        quoted = " ".join(words)
        closed = subprocess.run(
            ["sh", "-c", f"{quoted} 2>&- >&-"], cwd=place, env=environment(), check=False
        )
        assert closed.returncode == code
        assert index(place / "packages") == ["a-1-r0.apk", "b-1-r0.apk"]


def test_words_of_a_build_are_no_reason_to_try_again(make: Make) -> None:
    place = make(a=definition("a"))
    (place / "Makefile").write_text("packages/%.apk:\n\t@echo No space left on device; exit 1\n")
    code, _, said = run(place)
    assert code == 1
    assert "FAILED a 1-r0: make ended with exit code 2" in said
    assert "dag: attempt" not in (place / "packages/logs/x86_64/a.log").read_text()


def test_repositories_keys_and_stores_are_found_where_they_are(
    make: Make, empty: Path, tmp_path: Path
) -> None:
    place = make(a=definition("a"), keys=definition("keys", "a"))
    bootstrap = empty / "bootstrap"
    (place / "dag.toml").unlink()
    (place / "keys").mkdir()
    (place / "keys/bootstrap.rsa.pub").write_bytes((bootstrap / "bootstrap.rsa.pub").read_bytes())
    keyring = f"--keyring={place}/keys/bootstrap.rsa.pub"
    for number, end in enumerate(("", "/x86_64", "/x86_64/APKINDEX.tar.gz")):
        store = f"--store={tmp_path / str(number)}"
        code, _, said = run(place, "-r", f"{bootstrap}{end}", keyring, store)
        assert code == 0, said
    code, _, said = run(place, "-r", str(bootstrap), keyring, "--store=.")
    assert code == 2
    assert "--store is the directory of the definitions" in said
    assert run(place, "-r", str(bootstrap), keyring)[0] == 0
    code, _, said = run(place, "-r", "packages", "-r", str(bootstrap), keyring)
    assert code == 2
    assert "-r packages is the store itself" in said


def test_what_lies_in_the_usual_place_of_packages_is_a_repository_for_another_store(
    make: Make, empty: Path, tmp_path: Path
) -> None:
    key = new_key(tmp_path)
    place = make(a=definition("a"))
    assert run(place, f"--signing-key={key}")[0] == 0
    make(b=definition("b", "a", runs=f"test -e {SHARE}/a"))
    repositories = ["-r", str(place / "packages"), "-r", str(empty / "bootstrap")]
    keyrings = [f"--keyring={one}" for one in (f"{key}.pub", empty / "bootstrap/bootstrap.rsa.pub")]
    code, _, said = run(place, *repositories, *keyrings, f"--store={tmp_path / 'other'}")
    assert code == 0, said
    assert index(tmp_path / "other") == ["b-1-r0.apk"]


def test_a_key_among_makes_variables_signs_everything(make: Make, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    place = make(a=definition("a"), b=definition("b", "a"))
    code, _, said = run(place, f"--make-var=KEY={key}")
    assert code == 0, said


def test_what_was_asked_for_by_name_and_is_for_another_architecture_is_missing(make: Make) -> None:
    place = make(a=definition("a"), b=definition("b", extra="  target-architecture: [aarch64]\n"))
    code, out, said = run(place, "--json")
    assert (code, json.loads(out)["exit_code"]) == (0, 0), said
    code, out, said = run(place, "b", "a", "--json")
    assert (code, json.loads(out)["exit_code"]) == (1, 1)
    assert "dag: b 1-r0 was asked for but is not built for x86_64\n" in said


def test_damaged_state_is_told_or_done_without(make: Make, tmp_path: Path) -> None:
    place = make(a=definition("a"))
    more = {"GITHUB_STEP_SUMMARY": str(tmp_path / "none/page"), "SOURCE_DATE_EPOCH": ""}
    state = place / "packages/.dag"
    assert run(place, **more)[0] == 0
    for hints in ("[]", "null", '{"a": "x"}'):
        (state / "hints-x86_64.json").write_text(hints)
        code, _, said = run(place, "--rebuild=a", **more)
        assert code == 0, said
    assert f"$GITHUB_STEP_SUMMARY {tmp_path}/none/page: No such file or directory" in said
    journal = max(state.glob("runs/*/x86_64/journal.jsonl"))
    head, *events = journal.read_text().splitlines(keepends=True)
    for lines in (
        [head.replace('"limits"', '"limit"'), *events],
        [head.replace('"jobs"', '"job"'), *events],
        [head, *events, *events],
        [json.dumps({**json.loads(head), "units": None}) + "\n", *events],
    ):
        journal.write_text("".join(lines))
        code, _, said = run(place, command="status")
        assert code == 2
        assert said.startswith(f"dag: {journal} is damaged: ")
    code, _, said = run(place, "--rebuild=a", SOURCE_DATE_EPOCH="²")
    assert code == 2
    assert "$SOURCE_DATE_EPOCH is '²'" in said
