"""Directories in which something is wrong, or for another machine, as each command answers them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.test_graph_commands import dag, define
from tests.support.distributions import case

PACKAGE_RULES = "package/%:\n\tmelange build $*.yaml $(MELANGE_EXTRA_OPTS)\nall: package/good\n"
PROBLEM = "bad.yaml:8: there is no pipeline 'goreleaser/build'"
STOP = "app needs bad at app.yaml:7, but the definition of that cannot be used, see bad.yaml:8"
FOREIGN = "app needs armlib at app.yaml:7, but armlib.yaml:2 is not for x86_64"
PRINTED = ("--create=false", "--push=false", "--bundle-repo", "localhost:5000/x")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "broken"
    root.mkdir()
    (root / "Makefile").write_text(PACKAGE_RULES)
    define(root, "good", "[]")
    define(root, "bad", "[]", "pipeline: [{uses: goreleaser/build}]")
    define(root, "app", "[bad]")
    define(root, "last", "[app]")
    return root


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    root = tmp_path / "foreign"
    shutil.copytree(case("target-arch"), root)
    (root / "Makefile").write_text(PACKAGE_RULES)
    define(root, "good", "[]")
    return root


def targets(manifest: str) -> list[str]:
    (build,) = (
        one for one in yaml.safe_load(manifest)["spec"]["containers"] if one["name"] == "build"
    )
    words: list[str] = build["command"] + build.get("args", [])
    return [word for word in words if word.startswith("package/") or word == "all"]


def test_a_pod_builds_what_is_sound(directory: Path) -> None:
    out, err = dag("pod", "-d", directory, *PRINTED)
    assert targets(out) == ["package/good"]
    assert err.count(PROBLEM) == 1
    assert f"app, last; {STOP}" in err
    out, _ = dag("pod", "-d", directory, *PRINTED, "good.yaml")
    assert targets(out) == ["package/good"]
    out, err = dag("pod", "-d", directory, *PRINTED, "last", code=2)
    assert out == ""
    assert err.count(PROBLEM) == 1
    assert STOP in err
    dag("pod", "-d", directory, *PRINTED, "--strict", "good", code=2)


def test_both_architectures_of_a_pod_say_once_what_is_wrong(directory: Path) -> None:
    _, err = dag("pod", "-d", directory, *PRINTED, "-a", "x86_64,aarch64", "good")
    assert err.count(PROBLEM) == 1


def test_a_pod_is_not_asked_for_what_another_machine_should_give(foreign: Path) -> None:
    out, err = dag("pod", "-d", foreign, *PRINTED)
    assert targets(out) == ["package/armlib", "package/good"]
    assert FOREIGN in err
    out, err = dag("pod", "-d", foreign, *PRINTED, "app", code=2)
    assert out == ""
    assert FOREIGN in err


def test_a_build_plans_what_is_sound(directory: Path) -> None:
    words = ("build", "-d", directory, "--dry-run")
    out, err = dag(*words)
    assert "  good 1.10-r2: missing\n" in out
    assert "skipped app 1.10-r2: needs a broken definition\n" in out
    assert err.count(PROBLEM) == 1
    assert f"app, last; {STOP}" in err
    dag(*words, "./good.yaml")
    _, err = dag(*words, "last", code=2)
    assert err.count(PROBLEM) == 1
    assert STOP in err
    _, err = dag(*words, "bad", code=2)
    assert "the definition of bad cannot be used, see bad.yaml:8" in err
    dag(*words, "--strict", "good", code=2)


def test_a_build_blocks_what_needs_another_machine(foreign: Path) -> None:
    out, err = dag("build", "-d", foreign, "--dry-run", code=1)
    assert "  good 1.10-r2: missing\n" in out
    assert f"blocked app: {FOREIGN}\n" in out
    assert f"cannot be built: app; {FOREIGN}\n" in err


def test_sources_are_fetched_of_what_is_sound_and_none_are_removed(
    directory: Path, tmp_path: Path
) -> None:
    out = ("-o", tmp_path / "cache")
    _, err = dag("cache", "-d", directory, *out)
    assert err.count(PROBLEM) == 1
    dag("cache", "-d", directory, *out, "good")
    _, err = dag("cache", "-d", directory, *out, "last", code=2)
    assert STOP in err
    _, err = dag("cache", "-d", directory, *out, "prune", code=2)
    assert "nothing is removed" in err


def test_the_file_of_another_name_is_what_a_pod_asks_for(tmp_path: Path) -> None:
    root = tmp_path / "odd"
    shutil.copytree(case("file-name"), root)
    out, err = dag("pod", "-d", root, *PRINTED)
    assert targets(out) == ["package/melange"]
    (root / "Makefile").write_text("packages/x86_64/%.apk:\n\tmelange build\n")
    _, err = dag("pod", "-d", root, *PRINTED)
    assert "melange.yaml:2: this is myapp, for which the Makefile's rules look in myapp.yaml" in err


def test_how_many_definitions_cannot_be_used_is_said_once(directory: Path) -> None:
    for command in ("text", "cycles"):
        _, err = dag(command, "-d", directory)
        assert err.splitlines()[1] == "dag: 1 definition cannot be used"
    define(directory, "another", "[", "")
    define(directory, "second", "[]")  # and one that another goes before is no such definition
    (directory / "second.yaml").write_text((directory / "good.yaml").read_text())
    _, err = dag("text", "-d", directory)
    assert err.count("definitions cannot be used") == 1
    assert "dag: 2 definitions cannot be used\n" in err


def test_several_architectures_are_refused_on_this_machine_with_what_builds_them(
    directory: Path,
) -> None:
    for words in ((), ("--dry-run",)):
        _, err = dag("build", "-d", directory, "--arch=x86_64,aarch64", *words, code=2)
        assert "a build on this machine is for one architecture, and --arch names 2" in err
        assert "--on kubernetes" in err
    assert not (directory / "packages").exists()
