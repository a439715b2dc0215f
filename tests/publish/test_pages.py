"""What is published is made from the declarations."""

from __future__ import annotations

import functools
import json
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from dag.cli.options import Command
from dag.cli.settings import read_settings
from dag.core.package.starter import starter_files
from dag.errors import UsageError
from publish.declared import context_of, every_command
from publish.diagrams import scheduler_diagram
from publish.schema import settings_schema
from tests.support.golden import Golden
from tests.support.schema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]


def test_the_schema_is_made_from_the_declarations(golden: Golden) -> None:
    golden(ROOT / "docs/dag-toml.schema.json", settings_schema())


@functools.cache
def validator() -> Draft202012Validator:
    schema: dict[str, Any] = json.loads(settings_schema())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(text: str) -> list[str]:
    return [error.message for error in validator().iter_errors(tomllib.loads(text))]


def refusals(place: Path, text: str) -> set[str]:
    """Return what the commands say that find these settings wrong; the first words are the place."""
    (place / "dag.toml").write_text(text)
    said = set()
    for typed, command in every_command():
        if isinstance(command, Command):
            context = context_of(command, typed)
            try:
                settings = read_settings(str(place), command, command.section, context)
                for one in command.flags:
                    if one.name in settings:
                        one.type_cast_value(context, settings[one.name])
            except (UsageError, click.UsageError) as error:
                said.add(error.message)
    return said


def example_of_the_page() -> str:
    return (ROOT / "docs/settings.md").read_text().split("```toml\n")[1].partition("```")[0]


@pytest.mark.parametrize(
    "text",
    [
        example_of_the_page(),
        (ROOT / "examples/distribution/dag.toml").read_text(),
        starter_files("r", "k")["dag.toml"],
        starter_files("r", "k")["dag.toml"].replace("# [", "[").replace("# bundle", "bundle"),
        'arch = "aarch64"\n[build]\njobs = 4\n[unit]\ncommon = ["licenses"]\n',
        '[pod]\ncpu = "8"\n[melange]\npackage-append = ["busybox"]\nvars-file = "a"\n',
        '[setup]\nservice-account = "builder"\n[cache]\nout = "elsewhere"\n',
        'type = "json"\n[text]\ntype = "makefile"\n[path]\ntype = "text"\n',
    ],
)
def test_settings_that_dag_takes_fit_the_schema(text: str, tmp_path: Path) -> None:
    (tmp_path / "bootstrap").mkdir()
    for key in ("os.rsa.pub", "bootstrap/bootstrap.rsa.pub"):
        (tmp_path / key).touch()
    assert problems(text) == []
    assert refusals(tmp_path, text) == set()


def test_a_key_that_means_different_things_is_described_for_each_command() -> None:
    keys = json.loads(settings_schema())["properties"]
    told = keys["jobs"]["description"]
    assert "`dag build`: Build this many units at once." in told
    assert "`dag cache`: Make this many transfers at once." in told
    own = keys["build"]["properties"]["jobs"]["description"]
    assert own.startswith("Build this many units at once.")
    assert "transfers" not in own
    assert "`dag" not in keys["retries"]["description"], "only one command has it"
    assert {"target", "text", "json"} <= {*keys["type"]["enum"]}


@pytest.mark.parametrize(
    ("text", "said", "refused"),
    [
        ("arhc = 'x86_64'", "'arhc' was unexpected", "no flag is called 'arhc'"),
        ("[pod]\nrum = '1Gi'", "'rum' was unexpected", "no flag is called 'rum'"),
        ("[build]\nfail-fast = 'yes'", "'yes' is not of type 'boolean'", "must be true or false"),
        ("isolation = 'none'", "'none' is not one of", "'none' is not one of"),
        ("trust-steps = true", "'trust-steps' was unexpected", "only the command line"),
    ],
)
def test_what_dag_refuses_does_not_fit_it(
    text: str, said: str, refused: str, tmp_path: Path
) -> None:
    assert any(said in problem for problem in problems(text))
    assert any(refused in problem for problem in refusals(tmp_path, text))


def test_the_diagram_of_the_scheduler_is_its_table(golden: Golden) -> None:
    page = ROOT / "docs/scheduler.md"
    end = "```\n"
    before, mark, rest = page.read_text().partition("```mermaid\n")
    assert mark
    golden(page, f"{before}{mark}{scheduler_diagram()}{end}{rest.partition(end)[2]}")
