"""`dag status`, `dag logs` and `dag report` tell of a run for each architecture that it was for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dag.io.store.places import StorePlace
from tests.run.build.test_storedruns import ARM, FIRST, SECOND, X86, run
from tests.support.commands import dag
from tests.support.schema import checked


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store whose latest run was for two architectures, and built `b` for one of them."""
    place = StorePlace("here", tmp_path / "packages")
    run(place, X86, FIRST, "a")
    run(place, X86, SECOND, "a")
    run(place, ARM, SECOND, "a", "b")
    return place.root


def ask(store: Path, command: str, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(store.parent)}
    return dag(command, f"--store={store}", *words, environment=environment, cwd=store.parent)


def test_a_run_is_told_of_for_each(store: Path) -> None:
    done = ask(store, "status")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"run {SECOND}"
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[1:]] == [
        "aarch64",
        "x86_64",
    ]
    told = checked(ask(store, "status", "--json").stdout, "results")
    assert [(one["run"], one["arch"]) for one in told["results"]] == [
        (SECOND, "aarch64"),
        (SECOND, "x86_64"),
    ]
    one = checked(ask(store, "status", "--json", "--arch=arm64").stdout, "result")
    assert one["arch"] == "aarch64"
    assert "aarch64" not in ask(store, "status", "--arch=arm64").stdout


def test_definitions_are_named_where_they_are_and_as_in_their_directory_where_they_are_not(
    store: Path,
) -> None:
    def files(*words: object) -> set[str]:
        told = ask(store, "status", "--json", "--arch=x86_64", *words).stdout
        return {one["file"] for one in checked(told, "result")["units"]}

    place = store.parent / "definitions"
    place.mkdir()
    assert files("--dir", place) == files() == {"a.yaml"}
    (place / "a.yaml").touch()
    assert files("--dir", place) == {f"{place}/a.yaml"}
    assert files("--dir", "definitions") == {"definitions/a.yaml"}


def test_all_runs_are_listed_for_each(store: Path) -> None:
    lines = ask(store, "status", "--all").stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"{SECOND}  aarch64",
        f"{SECOND}  x86_64",
        f"{FIRST}  x86_64",
    ]
    told = checked(ask(store, "status", "--all", "--json").stdout, "runs")
    assert [one["arch"] for one in told["runs"]] == ["aarch64", "x86_64", "x86_64"]
    # Where there is one architecture, nobody needs to hear of it.
    assert "x86_64" not in ask(store, "status", "--all", "--arch=x86_64").stdout


def test_a_log_is_found_unless_there_are_two(store: Path) -> None:
    assert ask(store, "logs", "b").stdout == f"{SECOND} aarch64\n"
    both = ask(store, "logs", "a")
    assert both.returncode == 2
    assert "name one with --arch" in both.stderr
    assert ask(store, "logs", "a", "--arch=x86_64").stdout == f"{SECOND} x86_64\n"


def test_there_is_a_page_for_each(store: Path) -> None:
    page = store.parent / "page.html"
    done = ask(store, "report", f"--out={page}", "--json")
    assert not page.exists()
    arches = ("aarch64", "x86_64")
    pages = [str(page.with_name(f"page-{arch}.html")) for arch in arches]
    assert checked(done.stdout, "files")["files"] == pages
    for arch in arches:
        assert SECOND in page.with_name(f"page-{arch}.html").read_text()
    refused = ask(store, "report", "--out=-")
    assert refused.returncode == 2
    assert f"the run {SECOND} was for aarch64 and x86_64" in refused.stderr
    assert ask(store, "report", f"--out={page}", FIRST).returncode == 0
    assert FIRST in page.read_text()


def test_settings_may_name_several(store: Path) -> None:
    (store.parent / "dag.toml").write_text('arch = "x86_64,aarch64"\n')
    told = json.loads(ask(store, "status", "--json").stdout)
    assert len(told["results"]) == 2
