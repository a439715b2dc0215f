"""Definitions that melange refuses when it is asked live, and that are refused here, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.errors import UsageError
from dag.io.package.definitions import read
from tests.support.melange import answer

REFUSED = {
    "undefined variable": "environment: {contents: {packages: ['${{vars.nothing}}']}}",
    "undefined range": "subpackages: [{name: x, range: nothing}]",
    "inputs that a pipeline's file takes away": "pipeline: [{uses: takes, inputs: {x: {default: y}}}]",
    "unknown pipeline": "pipeline: [{uses: no/such}]",
    "pipeline with a slash behind it": "pipeline: [{uses: local/}]",
    "group with a foreign letter": "var-transforms: [{from: a, match: '(?P<é>a)', replace: b, to: c}]",
    "leaves the directory": "pipeline: [{uses: ../../etc/passwd}]",
    "bad regular expression": "var-transforms: [{from: a, match: '(', replace: b, to: c}]",
    "duplicate subpackage": "subpackages: [{name: x}, {name: x}]",
    "bad subpackage name": "subpackages: [{name: ../x}]",
    "bad condition": "pipeline: [{uses: strip, if: 'what'}]",
    "undefined in runtime": "subpackages: [{name: x, dependencies: {runtime: ['${{build.arch}}']}}]",
    "duplicate key": "vars: {a: '1', a: '2'}",
    "priority of a subpackage": "subpackages: [{name: a, dependencies: {provider-priority: '${{ package.epoch }}'}}]",
    "priority of 65 bits": "subpackages: [{name: a, dependencies: {provider-priority: 9223372036854775808}}]",
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_melange_refuses_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x-definition.yaml"
    path.write_text(f"package: {{name: refused, version: '1', epoch: 0}}\n{REFUSED[what]}\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/takes.yaml").write_text(
        "inputs: ~\nneeds: {packages: ['a${{inputs.x}}']}\n"
    )
    (tmp_path / "pipelines/local.yaml").write_text("pipeline: [{runs: 'true'}]\n")
    assert isinstance(answer(path), str)
    with pytest.raises(UsageError, match=r"x-definition.yaml:\d+: "):
        read(tmp_path, arch="x86_64", cached=False)
