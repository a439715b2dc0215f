"""`dag build` keeps what it built, and finds what is there: the store, repositories and keys."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builds import (
    SHARE,
    SLEEPER,
    Make,
    apks,
    definition,
    gone,
    new_key,
    run,
    running,
)
from tests.support.keys import make_key, make_public_half
from tests.support.schema import checked
from tests.torture.distribution import index
from tests.torture.kills import environment


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk with little space."""
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
            if line.startswith("dag: a: no space left on device; it is tried again in 2"):
                subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
    assert process.returncode == 0, "".join(said)
    assert said[-1].startswith("dag: 2 built in")
    assert index(disk) == ["a-1-r0.apk", "b-1-r0.apk"]
    assert list((disk / ".dag/work").iterdir()) == []

    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    code, _, message = run(place, "--store", str(disk), "--rebuild=all")
    assert code == 3
    assert f"the store {disk} cannot be locked: Read-only file system" in message
    assert "hint: name another directory with --store" in message


def test_a_store_is_a_repository_for_another_build_by_a_key_with_a_name_of_its_own(
    make: Make, empty: Path, tmp_path: Path
) -> None:
    place, store = make(base=definition("base")), tmp_path / "store"
    assert run(place, "--store", str(store))[0] == 0
    make(user=definition("user", "base", runs=f"test -s {SHARE}/base"))
    (place / "base.yaml").unlink()
    bootstrap = empty / "bootstrap"
    words = ["-r", str(bootstrap), "--keyring", str(bootstrap / "bootstrap.rsa.pub")]
    words += ["-r", str(store), "--keyring"]
    # melange would write both keys to one file at the same time.
    code, _, said = run(place, *words, str(store / ".dag/key/melange.rsa.pub"))
    assert code == 2
    assert "and the build's own key are both called melange.rsa.pub" in said
    assert "; --signing-key gives this build one" in said

    key = new_key(tmp_path)
    make(base=definition("base"))
    (place / "user.yaml").unlink()
    code, _, said = run(place, "--store", str(store), f"--signing-key={key}", "--rebuild=all")
    assert code == 0, said
    with tarfile.open(store / "x86_64/APKINDEX.tar.gz") as archive:
        assert archive.getnames()[0] == ".SIGN.RSA256.my.rsa.pub"
    make(user=definition("user", "base", runs=f"test -s {SHARE}/base"))
    (place / "base.yaml").unlink()
    code, _, said = run(place, *words, f"{key}.pub")
    assert code == 0, said


def test_where_there_is_no_definition_no_store_is_made(make: Make) -> None:
    place = make()
    for makefile in ("with one", "without one"):
        code, _, said = run(place)
        assert code == 2, makefile
        assert "has no package definitions" in said
        assert not (place / "packages").exists()
        (place / "Makefile").unlink(missing_ok=True)


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


def test_what_make_has_built_is_not_built_again(make: Make) -> None:
    place = make(a=definition("a"), b=definition("b", "a"))
    code, _, _ = run(place, "a")
    assert code == 0
    shutil.rmtree(place / "packages" / ".dag")
    code, _, said = run(place)
    assert code == 0, said
    assert "1 package to build for x86_64, 1 there already" in said


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
    # Somebody has built egg before, without hen.
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
    code, out, said = run(place, "--dry-run")
    assert code == 0, said
    assert "cycle opened: a repository has egg; hen needs egg at hen.yaml:12, environment\n" in out
    assert "cycles are opened at 1 need: hen is built with the repository's egg; -v names" in said
    code, _, said = run(place, "-v")
    assert code == 0, said
    assert "hen is built with the repository's egg: a cycle" in said
    _, out, _ = run(place, "--dry-run", "--json", "--rebuild", "hen", "hen")
    assert [(one["name"], one["holder"]) for one in checked(out, "plan")["opened"]] == [
        ("egg", "store")
    ]
    assert {"egg-2-r0.apk", "hen-1-r0.apk", "chick-1-r0.apk"} <= set(apks(place))


def test_the_signing_key_signs_the_index(make: Make, tmp_path: Path) -> None:
    place = make(a=definition("a"))
    code, _, said = run(place, "--signing-key", str(new_key(tmp_path)))
    assert code == 0, said
    with tarfile.open(place / "packages" / "x86_64" / "APKINDEX.tar.gz", ignore_zeros=True) as tar:
        assert tar.getnames()[0] == ".SIGN.RSA256.my.rsa.pub"


def test_a_time_that_no_archive_can_hold_is_refused_by_the_plan(make: Make) -> None:
    place = make(a=definition("a"))
    for value, why in (
        ("99999999999999999999", "the latest time that an archive can hold is 8589934591"),
        ("9" * 5000, "the latest time that an archive can hold is 8589934591"),
        ("8589934592", "$SOURCE_DATE_EPOCH is 8589934592, and the latest time"),
        ("abc", "$SOURCE_DATE_EPOCH is 'abc', which is not a number of seconds since 1970"),
    ):
        code, _, said = run(place, "--dry-run", SOURCE_DATE_EPOCH=value)
        assert (code, why in said) == (2, True), said
    code, _, said = run(place, SOURCE_DATE_EPOCH="8589934591")
    assert code == 0, said


def test_a_key_that_cannot_sign_is_refused_before_anything_is_built(
    make: Make, tmp_path: Path
) -> None:
    place = make(a=definition("a"))
    key = make_key(tmp_path / "my.rsa")
    for words, command in ([], "build"), (["--dry-run"], "build"), (["--on=local"], "doctor"):
        code, out, said = run(place, "--signing-key", str(key), *words, command=command)
        assert code == 2
        assert "openssl rsa -traditional -in" in out + said
    key = make_key(tmp_path / "my.rsa", "-traditional")
    make_public_half(key, of=make_key(tmp_path / "other.rsa"))
    code, _, said = run(place, "--signing-key", str(key))
    assert (code, "my.rsa.pub is not the public half of" in said) == (2, True), said
    assert apks(place) == []


def test_a_store_that_can_be_none_is_said_by_every_command(make: Make) -> None:
    place = make(a=definition("a"))
    for command, words in (("build", []), ("build", ["--dry-run"]), ("status", [])):
        code, _, said = run(place, *words, command=command, DAG_STORE="/dev/null/x")
        assert code == 2
        assert "the store /dev/null/x can be no directory, because /dev/null is a file" in said
        assert "hint: name another directory with --store" in said


def test_an_index_of_make_s_stays_until_it_changes_and_then_that_is_said(
    make: Make, tmp_path: Path
) -> None:
    place = make(a=definition("a"), b=definition("b", "a"))
    key = new_key(tmp_path)
    bootstrap = place.parent  # what make is told by hand, dag reads in dag.toml
    settings = tomllib.loads((place / "dag.toml").read_text())
    extra = (
        f"--repository-append {settings['repository'][0]} --keyring-append {settings['keyring'][0]}"
    )
    variables = {**environment(), "MAKEFLAGS": "", "SOURCE_DATE_EPOCH": "1700000000"}

    def by_make(name: str) -> None:
        words = [f"KEY={key}", "ARCH=x86_64", f"REPO={place}/packages"]
        words += [f"CACHE_DIR={bootstrap}/cache", f"MELANGE_EXTRA_OPTS={extra}"]
        melange = shutil.which("melange", path=variables["PATH"])
        words += [f"MELANGE={melange}", f"packages/{name}"]
        done = subprocess.run(
            ["make", *words], cwd=place, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    by_make("a")
    index_file = place / "packages/x86_64/APKINDEX.tar.gz"
    before = index_file.read_bytes()
    code, _, said = run(place, "a")
    assert (code, "1 there already" in said) == (0, True), said
    assert index_file.read_bytes() == before
    code, _, said = run(place, "b", f"--signing-key={key}")
    assert code == 0, said
    assert "is signed with the key" not in said
    by_make("b")  # it is there, and make can go on
    code, _, said = run(place, "b", "--rebuild", "b")
    assert code == 0, said
    assert "is signed with the key my.rsa.pub, which this build does not have" in said
    assert "--signing-key names the key to sign with" in said
