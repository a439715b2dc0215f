"""`dag version` and `dag init`."""

from __future__ import annotations

import json
import platform
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dag import __version__
from dag.cli.main import main
from dag.core.package.builtin import MELANGE


def dag(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="dag")


def test_the_version_is_told_alike_and_as_json_with_what_an_error_report_needs() -> None:
    assert dag("version").output == f"{__version__}\n"
    assert dag("--version").output == f"dag, version {__version__}\n"
    facts = json.loads(dag("version", "--json").output)
    assert facts["version"] == __version__
    assert facts["python"] == platform.python_version()
    assert f"v{facts['melange']}" == MELANGE


NAMES = ["Makefile", "dag.toml", "example-greeting.yaml", "example-hello.yaml", ".gitignore"]


def test_a_new_distribution_is_understood_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAG_REPOSITORY", "/nowhere")  # means another thing, for other commands
    begun = dag("init", str(tmp_path / "a" / "b"))
    assert begun.stdout.split() == [str(tmp_path / "a" / "b" / name) for name in NAMES]
    monkeypatch.delenv("DAG_REPOSITORY")
    told = dag("text", "--strict", "-d", str(tmp_path / "a" / "b"))
    assert told.stdout.split() == ["package/example-greeting", "package/example-hello"]
    makefile = (tmp_path / "a" / "b" / "Makefile").read_text()
    assert "KEYRING ?= https://packages.wolfi.dev/os/wolfi-signing.rsa.pub\n" in makefile


def test_what_builds_it_can_be_typed_as_it_is_said(tmp_path: Path) -> None:
    target = str(tmp_path / "a b; c")
    said = dag("init", target).stderr.split("`")[1]
    assert shlex.split(said) == ["dag", "build", "--dir", target]


def test_nothing_is_overwritten_and_nothing_written_beside_it(tmp_path: Path) -> None:
    (tmp_path / "Makefile").symlink_to(tmp_path / "elsewhere")
    refused = dag("init", str(tmp_path))
    assert refused.exception is not None
    assert str(refused.exception).startswith(f"{tmp_path / 'Makefile'}: nothing is written")
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


@pytest.mark.parametrize(
    "bad", ["a b", "$(shell id)", "https://me:secret@example.com/os", "a#b", "a&b", "~/x"]
)
def test_what_make_or_a_shell_would_read_otherwise_is_refused(tmp_path: Path, bad: str) -> None:
    refused = dag("init", "-r", bad, str(tmp_path / "x"))
    assert refused.exit_code == 2
    assert "cannot be written into a Makefile" in refused.output
    assert "secret" not in refused.output
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("elsewhere", ["/bootstrap", "../bootstrap", "a/../../bootstrap"])
def test_a_repository_that_no_other_clone_would_have_is_refused(
    tmp_path: Path, elsewhere: str
) -> None:
    refused = dag("init", "-r", elsewhere, str(tmp_path / "x"))
    assert refused.exit_code == 2
    assert f"{elsewhere} is not in the new directory" in refused.output
    assert not (tmp_path / "x").exists()


def test_a_repository_that_is_not_there_yet_is_said(tmp_path: Path) -> None:
    target = tmp_path / "x"
    words = ("init", "-r", "./bootstrap", "--keyring", "bootstrap/a.rsa.pub", str(target))
    said = dag(*words)
    assert said.exit_code == 0
    assert f"there is no directory {target}/bootstrap yet: copy the repository" in said.stderr
    assert f"there is no file {target}/bootstrap/a.rsa.pub yet: copy the public key" in said.stderr
    for name in NAMES:
        (target / name).unlink()
    (target / "bootstrap").mkdir()
    said = dag(*words)
    assert f"{target}/bootstrap is no repository yet: it has no ARCH/APKINDEX" in said.stderr
    for name in NAMES:
        (target / name).unlink()
    (target / "bootstrap" / "x86_64").mkdir()
    (target / "bootstrap" / "x86_64" / "APKINDEX.tar.gz").touch()
    (target / "bootstrap" / "a.rsa.pub").touch()
    assert len(dag(*words).stderr.splitlines()) == 1
