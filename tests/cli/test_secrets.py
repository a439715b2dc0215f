"""A secret on the command line, in the environment or in dag.toml is refused, and not shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dag.cli.main import main
from dag.core.web import is_secret_name, redact_text, secret_of

SECRET = "hunter2"
URL = f"https://me:{SECRET}@packages.example.org/os"
TOKEN = f"https://packages.example.org/os?token={SECRET}"
TOML = {
    "a repository": f'repository = ["{URL}"]\n',
    "a keyring": f'keyring = ["{TOKEN}"]\n',
    "a variable of make": f'[make]\nAPI_TOKEN = "{SECRET}"\n',
    "one with a URL": f'[build.make]\nMELANGE_EXTRA_OPTS = "--repository-append {URL}"\n',
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "Makefile").write_text("packages/%.apk:\n\ttrue\n")
    (tmp_path / "a.yaml").write_text("package: {name: a, version: 1, epoch: 0}\n")
    return tmp_path


def run(place: Path, *words: str, **environment: str) -> Result:
    flags = {"pod": ["--create=false", "--push=false", "--bundle-repo=r.io/a"]}
    flags |= {"build": ["--dry-run"]}
    given = [words[0], "-d", str(place), *flags.get(words[0], ()), *words[1:]]
    return CliRunner().invoke(main, given, env=environment)


def refused(result: Result) -> bool:
    text = result.output + result.stderr
    assert SECRET not in text
    return result.exit_code == 2 and "which manifests, records and logs would show" in text


@pytest.mark.parametrize("command", ["pod", "build", "text", "doctor"])
def test_a_url_with_a_secret_is_refused_by_every_command(place: Path, command: str) -> None:
    assert refused(run(place, command, "-r", URL))
    assert refused(run(place, command, DAG_REPOSITORY=URL))
    if command in ("pod", "build"):
        assert refused(run(place, command, "--keyring", TOKEN))
        assert refused(run(place, command, "--make-var", f"TOKEN={SECRET}"))
        assert refused(run(place, command, "--make-var", f"OPTS=-r {URL}"))


@pytest.mark.parametrize("text", TOML.values(), ids=TOML)
def test_so_is_one_in_dag_toml(place: Path, text: str) -> None:
    (place / "dag.toml").write_text(text)
    assert refused(run(place, "build"))


@pytest.mark.parametrize(
    "name", ["TOKEN", "GITHUB_TOKEN", "apiKey", "my-password", "AWS_SECRET_ACCESS_KEY", "PASSWD"]
)
def test_secrets_have_these_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["KEY", "AUTHOR", "TOKENIZER", "SECRETARY", "MELANGE_EXTRA_OPTS"])
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_a_url_is_taken_apart_wherever_it_is() -> None:
    assert secret_of(f"--repository-append {URL}") == "a user or a password"
    assert secret_of(TOKEN) == "the parameter token"
    assert secret_of("https://packages.example.org/a@b?arch=x86_64") is None
    assert secret_of("mail me@example.org") is None
    assert redact_text(f"dag build -r {URL} -r{TOKEN}") == (
        "dag build -r https://***@packages.example.org/os"
        " -rhttps://packages.example.org/os?token=***"
    )
