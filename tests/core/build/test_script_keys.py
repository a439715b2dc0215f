"""The key that a build signs with: made by a rule or by melange, or mounted."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from dag.core.build.scripts import REFUSED
from dag.core.package.makefile import KeyMaker
from tests.support.scripts import MAKEFILE, VARIABLES, Workspace


def test_the_key_is_made_by_the_makefiles_own_rule(workspace: Workspace) -> None:
    workspace.key.unlink()
    code, lines = workspace.run("packages/a.apk", key_maker=KeyMaker.RULE)
    assert (code, lines[0]) == (0, "making a for x86_64 with melange.rsa")
    assert (workspace.directory / "melange.rsa").read_text() == "secret\n"
    assert "secret" not in lines


@pytest.mark.parametrize("name", ["melange.rsa", "own.rsa"])
def test_a_key_without_a_rule_is_made_with_melange_unless_it_is_there(
    workspace: Workspace, name: str
) -> None:
    workspace.key.unlink()
    (workspace.directory / "Makefile").write_text(
        "packages/%.apk: $(KEY) ; @cat $(KEY); mkdir -p $(@D); cp $(KEY) $@\n"
    )
    melange = workspace.directory / "melange"
    melange.write_text('#!/bin/sh\n[ "$1" = keygen ] && echo secret of "$2" >"$2"\n')
    melange.chmod(0o755)
    variables = replace(VARIABLES, key=name, more=["MELANGE=./melange"])
    for _ in range(2):
        code, lines = workspace.run(
            "packages/a.apk", variables=variables, key_maker=KeyMaker.MELANGE
        )
        assert (code, lines[:-1]) == (0, [f"secret of {name}"])
        (workspace.directory / "packages" / "a.apk").unlink()
        melange.write_text("#!/bin/sh\nexit 1\n")  # which would fail now
    (workspace.directory / name).unlink()
    code, _ = workspace.run("packages/a.apk", variables=variables, key_maker=KeyMaker.MELANGE)
    assert code == 1


@pytest.mark.parametrize("kind", [["genrsa", "-traditional"], ["genrsa"], ["ecparam", "-genkey"]])
def test_a_mounted_key_that_melange_cannot_read_is_refused(
    workspace: Workspace, tmp_path: Path, kind: list[str]
) -> None:
    mounted = tmp_path / "mounted.rsa"
    more = ["-name", "prime256v1"] if "ecparam" in kind else ["2048"]
    command = ["openssl", *kind, "-out", str(mounted), *more]
    subprocess.run(command, check=True, capture_output=True)
    copy = tmp_path / "memory" / "melange.rsa"
    copy.parent.mkdir()
    variables = replace(VARIABLES, key=str(copy))
    code, lines = workspace.run("packages/a.apk", variables=variables, mounted_key=str(mounted))
    if "-traditional" in kind:
        assert (code, lines[0]) == (0, f"making a for x86_64 with {copy}")
        assert copy.read_bytes() == mounted.read_bytes()
    else:
        assert code == REFUSED
        (said,) = lines
        assert said.startswith("dag: the mounted key is not in PKCS #1, the only format in which")
        assert said.endswith("keep it as openssl rsa -traditional writes it")


def test_a_mounted_file_that_is_no_key_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted.rsa"
    mounted.write_text("no key\n")
    copy = tmp_path / "melange.rsa"
    variables = replace(VARIABLES, key=str(copy))
    code, lines = workspace.run("packages/a.apk", variables=variables, mounted_key=str(mounted))
    assert code == REFUSED
    assert lines == [f"dag: the mounted key is no RSA key in PEM: {mounted} has no line -----BEGIN"]
    assert not copy.exists()


def test_the_key_is_made_under_the_name_that_the_user_gives_it(workspace: Workspace) -> None:
    (workspace.directory / "Makefile").write_text(MAKEFILE.replace("melange.rsa:", "%.rsa:"))
    variables = replace(VARIABLES, more=["KEY=mine.rsa"])
    code, lines = workspace.run("packages/a.apk", variables=variables, key_maker=KeyMaker.RULE)
    assert (code, lines[0]) == (0, "making a for x86_64 with mine.rsa")
    assert (workspace.directory / "mine.rsa").exists()
