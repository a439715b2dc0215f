"""Names that no definition gives, and that only repositories have, are nodes of the graph, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_graph_commands import dag, define, index


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "definitions"
    root.mkdir()
    define(root, "app", "[elsewhere]")
    define(root, "zip", "[]")
    return root


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "x86_64").mkdir(parents=True)
    (root / "x86_64" / "APKINDEX.tar.gz").write_bytes(index("P:elsewhere\nV:1-r0\n\n"))
    return root


@pytest.mark.parametrize("is_there", [False, True])
def test_a_name_that_no_definition_gives_is_a_node_too(
    directory: Path, repository: Path, is_there: bool
) -> None:
    """There, and of what a repository has."""
    define(directory, "far", "[app]")
    more: list[str | Path] = ["-r", repository] if is_there else []
    out, _ = dag("text", "-d", directory, *more, "-t", "name", "-D", "elsewhere")
    assert out.split() == ["app", "far"]
    out, _ = dag("text", "-d", directory, *more, "-t", "name", "-D", "elsewhere", "zip")
    assert set(out.split()) == {"app", "far", "zip"}
    out, _ = dag("path", "-d", directory, "app", "elsewhere")
    assert out == "app needs elsewhere at app.yaml:7, environment\n"
    out, _ = dag("path", "-d", directory, "far", "elsewhere", "-t", "json")
    assert [json.loads(line)["needs"] for line in out.splitlines()] == ["app", "elsewhere"]
    out, err = dag("path", "-d", directory, "zip", "elsewhere", code=1)
    assert (out, err) == ("", "dag: zip doesn't need elsewhere\n")
    out, _ = dag("svg", "-d", directory, "-o", "-", "--format=dot", "-D", "elsewhere", "--depth=1")
    assert '"app" -> "elsewhere"' in out
    assert "far" not in out
    _, err = dag("text", "-d", directory, "-D", "elsewher", code=2)
    assert 'package "elsewher" not found in graph' in err
    _, err = dag("text", "-d", directory, "elsewhere", code=2)
    assert 'package "elsewhere" not found in graph' in err
