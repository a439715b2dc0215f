"""Small directories whose order depends on apko's choices and on what is needed at run time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_graph_commands import committing, dag, define, index

CASES = {
    "versioned-providers": {
        "rt-1": ("1.9.0", "[]", "provides: [rt=1.9.0]"),
        "rt-2": ("2.3.0", "[]", "provides: [rt=2.3.0]"),
        "app": ("1.0.0", '["rt<2"]', ""),
    },
    "bootstrap-chain": {
        "comp-1": ("1.0.0", "[]", "provides: [comp=1.0.0]"),
        "comp-2": ("2.0.0", '["comp~1"]', "provides: [comp=2.0.0]"),
        "comp-3": ("3.0.0", '["comp~2"]', "provides: [comp=3.0.0]"),
    },
    "provider-order": {
        "pa": ("2.0", "[]", "{provides: [x=2.0], provider-priority: 5}"),
        "pb": ("1.0", "[]", "{provides: [x=1.0], provider-priority: 10}"),
        "other": ("5.0", "[]", "{provides: [named=5.0], provider-priority: 0}"),
        "named": ("1.0", "[]", "{provides: [zz=1], provider-priority: 0}"),
        "app": ("1.0.0", "[x, named]", ""),
    },
    "unsatisfiable": {"app": ("1.0.0", '["asm<3"]', ""), "asm": ("3.0.1", "[]", "")},
    "runtime-closure": {
        "app": ("1", "[lib-dev]", ""),
        "lib": ("1", "[]", "provides: []"),
        "zstuff": ("1", "[]", ""),
    },
}


@pytest.fixture
def case(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    for name, (version, packages, dependencies) in CASES[request.param].items():
        more = f"  dependencies: {{{dependencies.strip('{}')}}}\n" if dependencies else ""
        (tmp_path / f"{name}.yaml").write_text(
            f"package:\n  name: {name}\n  version: {version}\n  epoch: 0\n{more}"
            f"environment:\n  contents:\n    packages: {packages}\n"
        )
    with (tmp_path / "lib.yaml").open("a") as file:
        file.write("subpackages: [{name: lib-dev, dependencies: {runtime: [zstuff]}}]\n")
    if "lib" not in CASES[request.param]:
        (tmp_path / "lib.yaml").unlink()
    return tmp_path


@pytest.mark.parametrize("case", ["versioned-providers"], indirect=True)
def test_a_constraint_chooses_among_the_versions_of_a_provided_name(case: Path) -> None:
    assert dag("text", "-d", case, "-t", "name", "app")[0].split() == ["rt-1", "app"]
    out, _ = dag("text", "-d", case, "-t", "json", "app")
    app = json.loads(out.splitlines()[-1])
    assert (app["needs"], app["installs"]) == ({"rt<2": "rt-1"}, ["rt-1"])


@pytest.mark.parametrize("case", ["bootstrap-chain"], indirect=True)
def test_a_chain_of_compilers_is_built_from_its_first(case: Path) -> None:
    out, err = dag("text", "-d", case, "-t", "name")
    assert (out.split(), err) == (["comp-1", "comp-2", "comp-3"], "")
    assert dag("cycles", "-d", case)[0] == "there are no cycles\n"


@pytest.mark.parametrize("case", ["provider-order"], indirect=True)
def test_v_says_what_is_taken_of_several_and_why(case: Path) -> None:
    out, err = dag("text", "-d", case, "-t", "name", "-v", "app")
    assert out.split() == ["other", "pa", "app"]
    assert "x is pa-2.0-r0 and not pb-1.0-r0: its version of that name is higher" in err
    assert "named is other-5.0-r0 and not named-1.0-r0: its version of that name is higher" in err


@pytest.mark.parametrize("case", ["unsatisfiable"], indirect=True)
def test_a_constraint_that_nothing_satisfies_is_said_with_what_there_is(case: Path) -> None:
    out, err = dag("text", "-d", case, "-t", "name", "app", "-v")
    assert out == "app\n"
    assert err == (
        "dag: melange must find asm<3 (there is only asm-3.0.1-r0) in a repository; "
        "it is needed by app (app.yaml:7)\n"
    )
    _, err = dag("text", "-d", case, "-t", "name", "app")
    assert "asm<3 (there is only asm-3.0.1-r0)" in err
    dag("path", "-d", case, "app", "asm", code=1)


@pytest.mark.parametrize("case", ["runtime-closure"], indirect=True)
def test_what_an_installed_package_needs_at_run_time_is_needed_by_every_command(
    case: Path,
) -> None:
    assert dag("text", "-d", case, "-t", "name", "app")[0].split() == ["lib", "zstuff", "app"]
    assert dag("text", "-d", case, "-t", "name", "-D", "zstuff")[0].split() == ["zstuff", "app"]
    out, _ = dag("path", "-d", case, "app", "zstuff")
    assert out == (
        "app needs lib-dev at app.yaml:7, environment; lib-dev needs zstuff at run time\n"
    )
    out, _ = dag("path", "-d", case, "app", "zstuff", "-t", "json")
    edge = json.loads(out)
    assert (edge["kind"], edge["through"]) == ("run time", ["lib-dev", "zstuff"])
    out, _ = dag("svg", "-d", case, "-o", "-", "--format", "dot", "app")
    assert '"app" -> "zstuff" [style=dotted];' in out
    git = committing(case)
    git("add", ".")
    git("commit", "-qm", "first")
    (case / "zstuff.yaml").write_text((case / "zstuff.yaml").read_text() + "# more\n")
    out, _ = dag("affected", "-d", case, "--since", "HEAD", "-t", "name")
    assert out.split() == ["zstuff", "app"]
    (case / "zstuff.yaml").write_text(
        "package: {name: zstuff, version: 1, epoch: 0}\n"
        "environment: {contents: {packages: [app]}}\n"
    )
    out, _ = dag("cycles", "-d", case)
    assert "app needs lib-dev at app.yaml:7, environment; lib-dev needs zstuff at run time" in out
    assert "zstuff needs app at zstuff.yaml:2, environment" in out


def test_giving_up_is_said_with_the_need_and_what_there_is(tmp_path: Path) -> None:
    define(tmp_path, "app", "[tool]")
    define(tmp_path, "tool", "[]")
    text = (tmp_path / "tool.yaml").read_text()
    more = "epoch: 2\n  dependencies: {runtime: ['lib>2']}\n"
    (tmp_path / "tool.yaml").write_text(text.replace("epoch: 2\n", more))
    define(tmp_path, "lib", "[]")
    _, err = dag("text", "-d", tmp_path)
    assert (
        "apko gives up at the environment of 1 package, for which other packages must be there: "
        "app: it cannot have lib>2, which tool-1.10-r2 needs at run time; "
        'lib-1.10-r2 is ruled out because "1.10-r2" does not satisfy "lib>2"'
    ) in err
    out, _ = dag("text", "-d", tmp_path, "-t", "json", "app")
    assert json.loads(out.splitlines()[-1])["installs"] is None


def test_what_only_repositories_of_a_definition_may_have_is_no_alarm(tmp_path: Path) -> None:
    directory = tmp_path / "definitions"
    directory.mkdir()
    define(directory, "lib", "[]", "subpackages: [{name: lib-dev}]")
    (directory / "own.yaml").write_text(
        "package:\n  name: own\n  version: 1\n  epoch: 0\nenvironment:\n  contents:\n"
        "    repositories: [https://nowhere.invalid/os]\n    packages: [busybox, lib-deb]\n"
    )
    _, err = dag("text", "-d", directory, "own")
    # A slip of the keyboard is told all the same.
    assert err == (
        "dag: melange must find in a repository: lib-deb (did you mean lib-dev?);"
        " -v names who needs them\n"
    )
    left = (
        "busybox is left to repositories that are not asked here; it is needed by own (own.yaml:8)"
    )
    assert f"dag: {left}\n" in dag("text", "-d", directory, "-v", "own")[1]
    define(directory, "other", "[busybox]")  # which names none
    assert "find in a repository: lib-deb" in dag("text", "-d", directory, "own", "other")[1]
    assert "busybox; -v names" in dag("text", "-d", directory, "own", "other")[1]
    (directory / "Makefile").write_text(
        "package/%:\n\tmelange build $*.yaml --repository-append https://nowhere.invalid/os\n"
    )
    assert "busybox" not in dag("text", "-d", directory, "own", "other")[1]


def test_where_no_repository_is_named_it_is_said_how_one_is(tmp_path: Path) -> None:
    remedy = (
        "dag: no repository is named: -r names one, and --keyring of `dag build` its public key;"
        " dag.toml keeps both as `repository` and `keyring`\n"
    )
    define(tmp_path, "lib-dev", "[]")
    define(tmp_path, "app", "[busybox]")
    first = "dag: melange must find in a repository: busybox; -v names who needs them\n"
    assert dag("text", "-d", tmp_path)[1] == first + remedy
    assert dag("text", "-d", tmp_path, "-v")[1].endswith(" needed by app (app.yaml:7)\n" + remedy)
    assert first + remedy in dag("build", "--dry-run", "-d", tmp_path)[1]
    # A slip of the keyboard and another version than that which is here are no matter of repositories.
    define(tmp_path, "app", "[lib-deb, lib-dev>9]")
    assert "did you mean lib-dev?" in dag("text", "-d", tmp_path)[1]
    assert "no repository is named" not in dag("text", "-d", tmp_path)[1]
    define(tmp_path, "app", "[busybox]")
    place = tmp_path / "empty" / "x86_64" / "APKINDEX.tar.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(index(""))
    assert dag("text", "-d", tmp_path, "-r", tmp_path / "empty")[1] == first
    define(tmp_path, "other", "[]", "    repositories: [https://nowhere.invalid/os]")
    assert dag("text", "-d", tmp_path)[1] == first
