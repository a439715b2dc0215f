"""`dag doctor --on local`: what `dag build` would meet on this machine, told without building."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builds import Make, definition, new_key, run
from tests.support.forwarding import Forwarder
from tests.support.schema import checked
from tests.support.screens import Terminal
from tests.torture.kills import environment

pytestmark = pytest.mark.installs
LACKING = "old: x\n"


def doctor(place: Path, *words: str, **more: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """Examine a build in a directory; return the exit code, the checks by name, and what is said."""
    code, out, said = run(place, "--on=local", "--json", *words, command="doctor", **more)
    return code, {one["name"]: one for one in checked(out, "checks")["checks"]}, said


def test_a_machine_that_can_build_is_told_as_that_and_nothing_is_written(make: Make) -> None:
    place = make(a=definition("a"), old=definition("old") + LACKING)
    code, found, said = doctor(place)
    assert code == 0, found
    assert "nothing is known that would stop a build" in said
    names = (
        "definitions repositories make melange bwrap unshare steps memory units store room key plan"
    )
    assert [name.split()[0] for name in found] == names.split()
    assert {one["status"] for name, one in found.items() if name != "memory"} <= {"ok", "warning"}
    assert found["steps"]["message"] == "a step that does nothing was confined"
    assert "is version 0.56.0" in found["melange"]["message"]
    assert found["definitions"]["status"] == "warning"
    assert "field old not found" in found["definitions"]["message"]
    assert "leaves them out" in found["definitions"]["fix"]
    assert found["plan x86_64"]["message"] == "1 package to build"
    assert not (place / "packages").exists()


def test_a_makefile_that_has_no_rule_for_a_package_is_told(make: Make) -> None:
    place = make(a=definition("a"))
    (place / "Makefile").write_text("all:\n\techo hi\n")  # a pod would make all, a unit would not
    _, found, _ = doctor(place)
    assert found["definitions"]["status"] == "warning"
    assert "the Makefile has no rule for packages/" in found["definitions"]["message"]
    assert found["definitions"]["fix"] == "correct the Makefile"


def test_what_a_dry_run_knows_to_be_in_the_way_is_told_as_a_warning_in_its_words(
    make: Make,
) -> None:
    place = make(
        app=definition("app", "libgret"),
        egg=definition("egg", "hen"),
        hen=definition("hen", "egg"),
        libgreet=definition("libgreet"),
        bad=definition("bad") + "environment: [\n",
    )
    code, found, said = doctor(place)
    assert code == 0, found
    assert "nothing is known that would stop a build (2 warnings" in said
    plan, definitions = found["plan x86_64"], found["definitions"]
    _, _, told = run(place, "--dry-run")
    lines = [line.removeprefix("dag: ") for line in told.splitlines()]
    assert plan["status"] == "warning"
    assert plan["message"].startswith(
        "2 packages to build; a cycle of 2 packages cannot be built: "
    )
    assert "libgret (did you mean libgreet?)" in plan["message"]
    assert [one for one in lines if one in plan["message"]] == [
        one
        for one in lines
        if "a cycle of 2" in one
        or "melange must find" in one
        or one.startswith("`dag cycles` shows")
    ]
    assert lines.count("`dag cycles` shows what would break the cycles") == 1
    assert definitions["status"] == "warning"
    assert next(one for one in lines if one.startswith("bad.yaml:")) in definitions["message"]
    assert definitions["fix"] == "a build leaves them out, with what needs them: correct them"
    for name in ("app", "bad", "egg", "hen"):
        (place / f"{name}.yaml").unlink()
    (place / "dag.toml").unlink()  # that names the repository which has busybox
    plan = doctor(place)[1]["plan x86_64"]
    assert "melange must find in a repository: busybox" in plan["message"]


def test_a_unit_that_is_larger_than_the_machine_is_told(make: Make) -> None:
    place = make(a=definition("a"), b=definition("b"))
    _, found, _ = doctor(place, "--ram=1000Ti")
    assert found["units"]["status"] == "warning"
    assert "a and 1 more ask for more than the" in found["units"]["message"]
    assert "package.resources" in found["units"]["fix"]


def test_each_program_that_is_missing_is_named_with_what_installs_it(
    make: Make, tmp_path: Path
) -> None:
    place = make(a=definition("a"))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "unshare", "sh", "git"):
        (programs / name).symlink_to(str(shutil.which(name)))
    code, found, _ = doctor(place, PATH=str(programs))
    assert code == 3
    failed = {name: one["fix"] for name, one in found.items() if one["status"] == "failed"}
    assert failed == {
        "melange": "install melange from https://github.com/chainguard-dev/melange, or put it into PATH",
        "bwrap": "install bubblewrap",
    }
    assert found["steps"]["message"] == "not checked: bwrap comes first"


def test_a_place_for_packages_and_a_key_that_cannot_be_used_are_told(
    make: Make, tmp_path: Path
) -> None:
    place = make(a=definition("a"))
    key = new_key(tmp_path)
    words = ("--store", "packages/below", "--signing-key", str(key))
    assert doctor(place, *words)[1]["key"]["message"].startswith(f"{key} signs")
    (tmp_path / "my.rsa.pub").unlink()
    (place / "packages").touch()
    code, found, said = doctor(place, *words)
    assert code == 2
    assert "a build would fail: 2 problems (2 checks not made)" in said
    assert "has no public half my.rsa.pub" in found["key"]["message"]
    assert "packages is a file" in found["store"]["message"]
    assert found["room"]["message"] == "not checked: store comes first"
    _, found, _ = doctor(place, "--trust-steps", "--disk", "1Pi", "--store", str(tmp_path / "x"))
    assert found["steps"]["status"] == "skipped"
    assert found["room"]["status"] == "warning"
    assert f"the disk of {tmp_path} has room for" in found["room"]["message"]


def test_a_store_on_a_disk_that_cannot_be_written_is_told(make: Make, tmp_path: Path) -> None:
    place, disk = make(a=definition("a")), tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o ro none "$0" && exec "$@"'
    words = (sys.executable, "-m", "dag", "doctor", "--on=local", "--json", "--store", disk / "s")
    done = subprocess.run(
        ("unshare", "--mount", "sh", "-c", script, disk, *words),
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    (store,) = [one for one in json.loads(done.stdout)["checks"] if one["name"] == "store"]
    assert store["status"] == "failed"
    assert store["message"].endswith(f"because nothing can be written to {disk}")


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("_no_proxies")
def test_a_proxy_is_asked_and_what_steps_do_not_get_of_it_is_told(make: Make) -> None:
    place = make(a=definition("a"))
    with Forwarder() as proxy:
        url = f"http://{proxy.place}"
        _, found, _ = doctor(place, HTTPS_PROXY=url)
        assert found["proxy"]["message"] == f"{url} serves this machine"
        assert proxy.lines == ["HEAD http://dag.invalid/ HTTP/1.1"]
        login = f"http://me:secret@{proxy.place}"
        _, found, said = doctor(place, http_proxy=login)
        assert found["proxy"]["status"] == "warning"
        assert "steps do not get the proxy that $http_proxy names" in found["proxy"]["message"]
        assert "--proxy names one without" in found["proxy"]["fix"]
        assert "secret" not in json.dumps(found) + said
        _, found, _ = doctor(place, "--hermetic", http_proxy=login)
        assert found["proxy"]["message"] == f"http://***@{proxy.place} serves this machine"
        assert proxy.logins == ["Basic bWU6c2VjcmV0"] * 2
    for answer, why in (
        (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "it wants a login"),
        (b"SSH-2.0-OpenSSH\r\n", "127.0.0.1 does not answer as a proxy does"),
    ):
        with Forwarder(answer) as proxy:
            code, found, _ = doctor(place, f"--proxy=http://{proxy.place}")
        assert code == 3
        assert found["proxy"]["status"] == "failed"
        assert found["proxy"]["message"] == f"http://{proxy.place}: {why}"
    code, found, _ = doctor(place, f"--proxy=http://{proxy.place}")
    assert code == 3
    assert "there is no connection to 127.0.0.1: Connection refused" in found["proxy"]["message"]


def test_without_definitions_that_is_all_that_is_wrong(tmp_path: Path) -> None:
    code, found, _ = doctor(tmp_path)
    assert code == 2
    failed = {name for name, one in found.items() if one["status"] == "failed"}
    assert failed == {"definitions"}
    assert "`dag init` begins some" in found["definitions"]["fix"]


def test_it_goes_by_what_the_file_of_settings_says_to_a_build(make: Make, tmp_path: Path) -> None:
    place = make(a=definition("a"))
    settings = place / "dag.toml"
    settings.write_text(f'{settings.read_text()}[build]\nstore = "{tmp_path}/there"\n')
    _, found, _ = doctor(place)
    assert found["store"]["message"].startswith(f"{tmp_path}/there is no store yet")
    assert run(place, "--store", str(tmp_path / "there"))[0] == 0
    _, found, _ = doctor(place)
    assert found["store"]["message"] == f"{tmp_path}/there can be read; finished packages there: 1"
    assert os.fspath(tmp_path) in json.dumps(found["room"])


def test_the_key_of_a_store_that_has_one_is_named_and_trusted_without_harm(make: Make) -> None:
    place = make(a=definition("a"))
    assert doctor(place)[1]["key"]["message"] == "the store's own signs; the next build makes it"
    assert run(place)[0] == 0
    code, found, _ = doctor(place)
    assert code == 0
    told = re.fullmatch(
        r"the store's own, (\S+), signs, and (\S+) is its public half", found["key"]["message"]
    )
    assert told
    public = place / "packages/.dag/key/melange.rsa.pub"
    assert Path(told[1]).is_file()
    assert Path(told[2]).read_bytes() == public.read_bytes()
    # What a build takes, because both are one key.
    _, found, _ = doctor(place, "--keyring", str(public))
    assert found["key"]["status"] == "ok", found["key"]


SLOW = """
import signal, sys
import dag.run.announcing as announcing
import dag.run.doctor.local as local
from dag.cli.main import run
announcing.AFTER = 0.001
find = local.find_program

def slowly(name):
    while signal.getitimer(signal.ITIMER_REAL)[0]:  # as long as it takes until it is told, if ever
        pass
    return find(name)

local.find_program = slowly
sys.argv[0] = "dag"
run()
"""


def test_on_a_terminal_it_is_said_that_it_takes_long(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(definition("a"))
    terminal = Terminal(100, 30)
    terminal.run(SLOW, "doctor", "--on=local", "-d", str(tmp_path), PATH=environment()["PATH"])
    assert terminal.lines[0] == "dag: examining; that may take some minutes, -v tells of each probe"
    assert sum("examining" in line for line in terminal.lines) == 1
