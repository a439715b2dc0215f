"""What every command prints with --json is as docs/json.schema.json says."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from dag.core.pod.ending import Cause, Ending
from dag.core.pod.events import PodResult
from dag.report import pods
from dag.report.files import ShownPlaces, results_to_json, to_json
from tests.cli.test_graph_commands import dag
from tests.support.caching import dag as dag_cache
from tests.support.faults import Origin
from tests.support.gitrepos import git
from tests.support.runs import made_run
from tests.support.schema import SCHEMA, Draft202012Validator, checked

DOCS = Path(__file__).parents[2] / "docs"
DEFINITION = """\
package:
  name: {name}
  version: "1"
environment:
  contents:
    packages: [{needs}]
pipeline: []
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory in which app needs lib and something else, and two packages need each other."""
    for name, needs in {"lib": "", "app": "lib, outside", "a": "b", "b": "a", "me": "me"}.items():
        (tmp_path / f"{name}.yaml").write_text(DEFINITION.format(name=name, needs=needs))
    return tmp_path


def test_the_schema_is_one_and_the_page_has_every_kind() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    kinds = {
        one["properties"]["kind"]["const"]
        for one in SCHEMA["$defs"].values()
        if "kind" in one["properties"] and "const" in one["properties"]["kind"]
    }
    rows = re.findall(r"^\| `([a-z ]+)` \|", (DOCS / "json.md").read_text(), re.MULTILINE)
    assert set(rows) - {"format", "kind"} == kinds
    assert len(SCHEMA["oneOf"]) == len(kinds)


def test_some_test_holds_each_kind_to_its_schema() -> None:
    calls = (
        node
        for path in Path(__file__).parents[1].rglob("test_*.py")
        if "checked" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "checked"
    )
    held = {ast.literal_eval(call.args[1]).replace(" ", "-") for call in calls if call.args[1:]}
    assert held == {one["$ref"].rpartition("/")[2] for one in SCHEMA["oneOf"]}


def test_the_files_that_are_written(place: Path, tmp_path: Path) -> None:
    for words in (("svg", "--format=dot", "--out"), ("graph", "--html")):
        target = str(tmp_path / words[0])
        found = checked(dag(words[0], "-d", place, *words[1:], target, "--json")[0], "files")
        assert found["files"] == [target]
        assert Path(target).exists()
        err = dag(words[0], "-d", place, *words[1:], "-", "--json", code=2)[1]
        assert "--json would both write to the standard output" in err
    new = tmp_path / "new"
    found = checked(dag("init", new, "--json")[0], "files")
    assert str(new / "dag.toml") in [str(Path(one)) for one in found["files"]]


def test_packages_and_ways_between_them_are_as_the_schema_says(place: Path) -> None:
    found = checked(dag("text", "-d", place, "app", "--json")[0], "packages")
    assert [one["name"] for one in found["packages"]] == ["lib", "app"]
    lines = dag("text", "-d", place, "app", "-t", "json")[0].splitlines()
    assert len(lines) == 2
    found = checked(dag("path", "-d", place, "app", "lib", "--json")[0], "path")
    assert found["edges"][0]["origin"] == "lib"
    assert (
        checked(dag("path", "-d", place, "lib", "app", "--json", code=1)[0], "path")["edges"]
        is None
    )
    found = checked(dag("cycles", "-d", place, "--json")[0], "cycles")
    assert [one["packages"] for one in found["components"]] == [["a", "b"]]
    assert [one["packages"] for one in found["loops"]] == [["me"]]


def test_what_a_change_touches(place: Path) -> None:
    git(place, "init", "-q")
    git(place, "add", ".")
    git(place, "commit", "-qm", "all")
    (place / "lib.yaml").write_text(DEFINITION.format(name="lib", needs="app"))
    (place / "notes").write_text("new")
    found = checked(dag("affected", "-d", place, "--since", "HEAD", "--json")[0], "affected")
    assert found["changed"] == {"lib": ["lib.yaml"]}
    assert found["unrelated"] == ["notes"]


def test_wanted_fetched_and_removed_sources_are_as_the_schema_says(
    place: Path, origin: Origin
) -> None:
    (place / "lib.yaml").write_text(
        DEFINITION.format(name="lib", needs="").replace(
            "pipeline: []",
            f"pipeline:\n  - uses: fetch\n    with:\n      uri: {origin.url}/missing\n"
            f"      expected-sha256: {'0' * 64}",
        )
    )
    found = checked(dag_cache("-d", place, "lib", "--dry-run", "--json").out, "wanted sources")
    assert len(found["sources"]) == 1
    failed = dag_cache("-d", place, "lib", "--json")
    assert checked(failed.out, "sources")["exit_code"] == failed.code == 1
    checked(dag_cache("prune", "-d", place, "--json").out, "removed sources")


def test_what_is_told_of_stores_and_this_installation_is_as_the_schema_says(
    place: Path, tmp_path: Path
) -> None:
    store = place / "packages"
    (store / ".dag").mkdir(parents=True)
    checked(dag("store", "verify", "--store", store, "--json")[0], "verified store")
    checked(dag("store", "prune", "--store", store, "--json")[0], "pruned store")
    checked(dag("version", "--json")[0], "version")


def test_manifests_are_as_the_schema_says(place: Path) -> None:
    words = ("--create=false", "--push=false", "--bundle-repo=r.example.com/dag", "--json", "lib")
    (pod,) = checked(dag("pod", "-d", place, *words)[0], "manifests")["manifests"]
    assert pod["kind"] == "Pod"


def test_what_came_of_a_run() -> None:
    result = made_run(9, failing=frozenset({2}))
    places = ShownPlaces(store="there/packages", directory="there")
    found = checked(to_json(result, places), "result")
    assert (found["exit_code"], found["running"]) == (1, False)
    assert found["units"][2]["log"].startswith("there/packages/.dag/runs/")
    both = [(result, False), (replace(made_run(9, until=3.0), arch="aarch64"), True)]
    found = checked(results_to_json(both, places, exit_code=0), "results")
    assert [(one["arch"], one["exit_code"], one["running"]) for one in found["results"]] == [
        ("x86_64", 1, False),
        ("aarch64", 0, True),
    ]
    found = checked(to_json(made_run(9, until=3.0), places, is_alive=True), "result")
    assert (found["exit_code"], found["running"]) == (0, True)


def test_what_came_of_pods() -> None:
    ending = Ending(Cause.MAKE, "make failed with exit code 2", "look at the log")
    failed = PodResult(
        name="dag-x",
        ending=ending,
        step="exit status 1 in a step",
        tail=("cc: <no>", "```"),
        seconds=3.0,
    )
    results = {
        "aarch64": failed,
        "x86_64": PodResult(name="dag-y", ending=Ending(Cause.DONE, "done")),
    }
    found = checked(pods.to_json(results, (), "builds", 1), "pods")
    assert [(one["arch"], one["cause"], one["exit_code"]) for one in found["pods"]] == [
        ("aarch64", "make", 1),
        ("x86_64", "done", 0),
    ]
    checked(pods.to_json({}, ["dag-z"], "", 0), "pods")
    junit = pods.to_junit(results)
    assert 'tests="2" failures="1"' in junit
    assert "cc: &lt;no&gt;" in junit
    page = pods.to_markdown(results, ())
    assert "### aarch64 failed: make failed with exit code 2: exit status 1 in a step" in page
    assert "````\ncc: <no>\n```\n````" in page
    assert "| x86\\_64 | dag-y | built | 0.0s |" in page
    assert pods.to_markdown({}, ["dag-y", "dag-z"]) == (
        "## dag pod: 2 pods are created, and nobody follows them\n\n- dag-y\n- dag-z\n"
    )
