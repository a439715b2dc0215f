"""What is published is made from the declarations."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dag.core.package.starter import starter_files
from publish.diagrams import scheduler_diagram
from publish.schema import settings_schema

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "dag-toml.schema.json"


def test_the_schema_is_made_from_the_declarations(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--golden"):
        SCHEMA.write_text(settings_schema())
    assert SCHEMA.read_text() == settings_schema(), f"{SCHEMA}: `make golden` writes it anew"


def problems(text: str) -> list[str]:
    schema: dict[str, Any] = json.loads(settings_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize(
    "text",
    [
        (ROOT / "examples/distribution/dag.toml").read_text(),
        starter_files("r", "k")["dag.toml"],
        starter_files("r", "k")["dag.toml"].replace("# [", "[").replace("# bundle", "bundle"),
        'arch = "aarch64"\n[build]\njobs = 4\n[unit]\ncommon = ["licenses"]\n',
        '[pod]\ncpu = "8"\n[melange]\npackage-append = ["busybox"]\nvars-file = "a"\n',
        '[setup]\nservice-account = "builder"\n[cache]\nout = "elsewhere"\n',
    ],
)
def test_settings_that_dag_takes_fit_the_schema(text: str) -> None:
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arhc = 'x86_64'", "'arhc' was unexpected"),
        ("[pod]\nrum = '1Gi'", "'rum' was unexpected"),
        ("[build]\nfail-fast = 'yes'", "'yes' is not of type 'boolean'"),
        ("isolation = 'none'", "'none' is not one of"),
        ("trust-steps = true", "'trust-steps' was unexpected"),
    ],
)
def test_what_dag_refuses_does_not_fit_it(text: str, said: str) -> None:
    assert any(said in problem for problem in problems(text))


def test_the_diagram_of_the_scheduler_is_its_table() -> None:
    assert f"```mermaid\n{scheduler_diagram()}```\n" in (ROOT / "docs/scheduler.md").read_text()
