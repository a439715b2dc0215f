"""What the Makefile tells melange counts for the graph of every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_graph_commands import committing, dag, define

RECIPE = "package/%:\n\tmkdir -p $*\n\t$(MELANGE) build $*.yaml {} $(MELANGE_EXTRA_OPTS)\n"
APPEND = "$(if $(filter basics,$*),,--package-append basics)"
REMEDY = "only make can tell what melange gets for {}; say it in dag.toml: [melange] {} = {}"


def makefile(place: Path, flags: str, before: str = "") -> None:
    (place / "Makefile").write_text(before + RECIPE.format(flags))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("app", "basics", "other"):
        define(tmp_path, name, "[busybox]")
    return tmp_path


def names(place: Path, *words: str) -> list[str]:
    return dag("text", "-d", place, "-t", "name", *words)[0].split()


def test_what_is_appended_is_a_need_of_every_command(place: Path) -> None:
    makefile(place, APPEND)
    assert names(place, "app") == ["basics", "app"]
    assert names(place, "-D", "basics") == ["basics", "app", "other"]
    out, err = dag("path", "-d", place, "app", "basics")
    assert (out, err) == ("app needs basics at Makefile:3, appended\n", "")
    edge = json.loads(dag("path", "-d", place, "-t", "json", "app", "basics")[0])
    assert (edge["kind"], edge["file"], edge["line"]) == ("appended", "Makefile", 3)
    found = json.loads(dag("text", "-d", place, "-t", "json", "app")[0].splitlines()[-1])
    assert found["appended"] == ["basics"]
    assert (found["needs"], found["installs"]) == ({"basics": "basics"}, ["basics"])
    assert '"app" -> "basics"' in dag("svg", "-d", place, "-o", "-", "--format", "dot")[0]
    git = committing(place)
    git("add", ".")
    git("commit", "-qm", "first")
    (place / "basics.yaml").write_text((place / "basics.yaml").read_text() + "# more\n")
    out, _ = dag("affected", "-d", place, "--since", "HEAD", "-t", "name")
    assert out.split() == ["basics", "app", "other"]
    (place / "basics.yaml").write_text(
        (place / "basics.yaml").read_text().replace("busybox", "app")
    )
    assert "app needs basics at Makefile:3, appended" in dag("cycles", "-d", place)[0]


def test_the_place_is_in_the_file_that_is_included(place: Path) -> None:
    (place / "rules.mk").write_text("\nOPTS += \\\n  --package-append basics\n")
    makefile(place, "$(OPTS)", "include rules.mk\npackage/basics: OPTS =\n")
    out, err = dag("path", "-d", place, "app", "basics")
    assert (out, err) == ("app needs basics at rules.mk:3, appended\n", "")


@pytest.mark.parametrize(
    ("make", "toml", "text"),
    [
        ("MORE = basics\n", "", ["basics", "app"]),
        ("ifdef WANTED\nMORE = basics\nelse\nMORE = other\nendif\n", "", ["other", "app"]),
        (
            "ifdef WANTED\nMORE = basics\nelse\nMORE = other\nendif\n",
            '[make]\nWANTED = "yes"\n',
            ["basics", "app"],
        ),
        ("MORE = other\n", '[make]\nMORE = "basics"\n', ["basics", "app"]),
    ],
)
def test_variables_of_make_count(place: Path, make: str, toml: str, text: list[str]) -> None:
    makefile(
        place, "--package-append=$(MORE)", make + "package/basics package/other: MORE = none\n"
    )
    (place / "dag.toml").write_text(toml)
    assert names(place, "app") == text


def test_what_is_added_to_the_flags_of_melange_counts(place: Path) -> None:
    makefile(place, "--debug")
    words = ("--make-var", "MELANGE_EXTRA_OPTS=--package-append other")
    out, _ = dag("path", "-d", place, *words, "app", "other")
    assert out == "app needs other at Makefile:3, appended\n"


def test_what_make_includes_by_them_counts_for_targets_too(place: Path) -> None:
    (place / "x").mkdir()
    makefile(place / "x", "")
    (place / "x" / "Makefile").rename(place / "x" / "r.mk")
    (place / "Makefile").write_text("include $(R)/r.mk\n")
    assert dag("text", "-d", place, "--make-var", "R=x", "app")[0] == "package/app\n"
    assert dag("text", "-d", place, "app")[0] == "packages/x86_64/app-1.10-r2.apk\n"


@pytest.mark.parametrize(
    "wanted", ["--package-append", "--vars-file", "--pipeline-dirs", "--build-option"]
)
def test_what_only_make_can_tell_is_said_once_with_the_remedy(place: Path, wanted: str) -> None:
    value = '"FILE"' if wanted == "--vars-file" else '["DIR"]' if "dirs" in wanted else '["NAME"]'
    makefile(place, f"{wanted} $(shell cat it)")
    _, err = dag("text", "-d", place)
    said = REMEDY.format(wanted, wanted.removeprefix("--"), value)
    assert err == f"dag: {place}/Makefile:3: {said}\n" + err.partition("\n")[2]
    assert err.count("only make can tell") == 1
    value = value.replace("FILE", "it").replace("DIR", "it").replace("NAME", "basics")
    (place / "it").write_text("{}")
    (place / "dag.toml").write_text(f"[melange]\n{wanted.removeprefix('--')} = {value}\n")
    assert "only make" not in dag("text", "-d", place)[1]


def test_options_that_only_make_can_tell_are_said_as_a_whole(place: Path) -> None:
    makefile(place, "$(shell cat options)")
    _, err = dag("text", "-d", place)
    assert "Makefile:3: only make can tell which options melange gets here" in err
    (place / "dag.toml").write_text('[melange]\npackage-append = ["basics"]\n')
    out, err = dag("path", "-d", place, "app", "basics")
    assert (out, err) == ("app needs basics at dag.toml:2, appended\n", "")


def test_the_words_of_dag_toml_win_and_spare_what_they_name(place: Path) -> None:
    makefile(place, "--package-append other,$(shell true)")
    (place / "dag.toml").write_text('[melange]\npackage-append = ["basics"]\n')
    assert names(place) == ["basics", "app", "other"]
    (place / "dag.toml").write_text("[melange]\npackage-append = []\n")
    assert dag("text", "-d", place, "-t", "name")[0].split() == ["app", "basics", "other"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[melange]\npackage-apend = []\n", "no key 'package-apend'"),
        ("[melange]\nvars-file = 3\n", "vars-file must be a string"),
        ("[melange]\nbuild-option = [3]\n", "build-option must be a list of strings"),
        ("melange = 3\n", "melange must be a table, like [melange]"),
    ],
)
def test_what_is_wrong_with_the_table_is_an_error(place: Path, text: str, said: str) -> None:
    (place / "dag.toml").write_text(text)
    _, err = dag("text", "-d", place, code=2)
    line = 2 if text.startswith("[") else 1
    assert f"dag.toml:{line}: " in err
    assert said in err
    if "apend" in text:
        assert "did you mean package-append?" in err
    (place / "dag.toml").write_text("[melang]\n")
    assert "did you mean [melange]?" in dag("text", "-d", place, code=2)[1]


def test_a_file_of_variables_goes_before_the_definition(place: Path) -> None:
    makefile(place, "--vars-file $*.vars")
    (place / "app.vars").write_text("version: 2.1.0\nhelper: other\n")
    for name in ("basics", "other"):
        (place / f"{name}.vars").write_text("{}\n")
    (place / "app.yaml").write_text(
        "package: {name: app, version: '${{vars.version}}', epoch: 0}\nvars: {version: '0'}\n"
        "environment: {contents: {packages: ['${{vars.helper}}']}}\n"
    )
    assert dag("text", "-d", place, "-t", "name-version", "app")[0].split() == [
        "other-1.10-r2",
        "app-2.1.0-r0",
    ]
    (place / "app.vars").write_text("version: 2.2.0\nhelper: basics\n")  # nothing else changes
    assert dag("text", "-d", place, "-t", "name-version", "app")[0].split() == [
        "basics-1.10-r2",
        "app-2.2.0-r0",
    ]
    git = committing(place)
    git("add", ".")
    git("commit", "-qm", "first")
    (place / "app.vars").write_text("version: 2.2.0\nhelper: basics\nmore: x\n")
    assert dag("affected", "-d", place, "--since", "HEAD", "-t", "name")[0].split() == ["app"]
    (place / "app.vars").write_text("a: [1]\n")
    _, err = dag("text", "-d", place, "app", code=2)
    assert "app.vars:1: the file of variables.a is a list; make it one value" in err
    assert names(place) == ["basics", "other"]
    (place / "app.vars").unlink()
    _, err = dag("text", "-d", place, "basics")
    assert "app.vars:1: melange is given this file of variables, and it does not exist" in err


def test_a_definition_without_vars_is_broken_if_a_file_gives_some(place: Path) -> None:
    makefile(place, "--vars-file all.vars")
    (place / "all.vars").write_text("a: b\n")
    _, err = dag("text", "-d", place, "app", code=2)
    assert "app.yaml:2: melange fails at a definition without vars if" in err
    for name in ("app", "basics", "other"):
        with (place / f"{name}.yaml").open("a") as file:
            file.write("vars: {}\n")
    assert dag("text", "-d", place)[1].startswith("dag: melange must find in a repository: busybox")


def pipeline(place: Path, need: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"needs: {{packages: [{need}]}}\npipeline: [{{runs: 'true'}}]\n")


def test_pipelines_are_looked_for_where_melange_is_told_to(place: Path) -> None:
    pipeline(place / "one/x.yaml", "basics")
    pipeline(place / "two/x.yaml", "other")
    pipeline(place / "pipelines/x.yaml", "none")
    pipeline(place / "two/strip.yaml", "other")
    define(place, "app", "[]", "pipeline: [{uses: x}]")
    makefile(place, "--pipeline-dirs=two --pipeline-dir one")
    assert names(place, "app") == ["basics", "app"]
    makefile(place, "--pipeline-dirs=two,one")
    assert names(place, "app") == ["other", "app"]
    define(place, "app", "[]", "pipeline: [{uses: strip}]")
    assert names(place, "app") == ["other", "app"]
    makefile(place, "--pipeline-dir $(MELANGE_DIR)/pipelines --pipeline-dirs=two")
    assert names(place, "app") == ["app"]  # melange's own goes before that
    define(place, "app", "[]", "pipeline: [{uses: x}]")
    assert names(place, "app") == ["other", "app"]
    git = committing(place)
    git("add", ".")
    git("commit", "-qm", "first")
    pipeline(place / "two/x.yaml", "basics")
    assert "app" in dag("affected", "-d", place, "--since", "HEAD", "-t", "name")[0].split()
    makefile(place, "")
    _, err = dag("text", "-d", place, "app")
    assert "none" in err


def test_build_options_of_the_makefile_are_enabled(place: Path) -> None:
    define(
        place,
        "app",
        "[basics]",
        "options: {small: {environment: {contents: {packages: {add: [other], remove: [basics]}}}}}",
    )
    makefile(place, "")
    assert names(place, "app") == ["basics", "app"]
    makefile(place, "--build-option=small,none")
    assert names(place, "app") == ["other", "app"]
