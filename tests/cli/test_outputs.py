"""The files that commands write: where they come to lie, and what is said if they cannot."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dag.cli.outputs import write_documents, write_results
from dag.core.build.options import ResultFileOptions
from dag.core.flags import flag_group
from dag.errors import InfrastructureError
from tests.cli.test_graph_commands import dag, define


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "definitions"
    root.mkdir()
    define(root, "app", "[lib]")
    define(root, "lib", "[]")
    return root


@pytest.mark.parametrize("words", [("graph", "--html"), ("svg", "--format=dot", "--out")])
def test_a_link_stays_and_a_missing_directory_is_named(
    directory: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, page = tmp_path / "link", tmp_path / "elsewhere" / "page"
    link.symlink_to(page)
    _, err = dag(*words, link, "-d", directory)
    assert err.endswith(f"dag: wrote {link}\n")
    assert link.is_symlink()
    assert "app" in page.read_text()
    nowhere = tmp_path / "no" / "page"
    _, err = dag(*words, nowhere, "-d", directory, code=2)
    flag = words[-1]
    assert f"dag: {flag} {nowhere}: there is no directory {tmp_path}/no\n" in err


def test_a_file_without_a_name_is_refused(directory: Path) -> None:
    _, err = dag("graph", "--html=", "-d", directory, code=2)
    assert "dag: --html names no file\n" in err


def test_why_packages_have_no_colours_is_said_unless_there_was_no_build(
    directory: Path, tmp_path: Path
) -> None:
    words = ("graph", "--html", tmp_path / "page", "-d", directory)
    assert "colours" not in dag(*words)[1]
    _, err = dag(*words, "--store", tmp_path / "store")
    assert (
        f"dag: the packages have no colours: {tmp_path}/store: nothing was built here for x86_64\n"
        in err
    )
    run = directory / "packages" / ".dag" / "runs" / "20260829-141200-123abc" / "x86_64"
    run.mkdir(parents=True)
    (run / "journal.jsonl").write_text("nonsense\n")
    _, err = dag(*words)
    assert "dag: the packages have no colours: " in err
    assert "is damaged" in err


def test_a_build_does_not_write_a_page_into_a_pipe(directory: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    _, err = dag("build", "-d", directory, "--report", tmp_path / "pipe", code=2)
    assert f"dag: --report {tmp_path}/pipe is a pipe, and it is written more than once\n" in err


@flag_group
class _Files(ResultFileOptions):
    json: bool = True


def test_a_file_that_cannot_be_written_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, summary = tmp_path / "page.md", tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    made: list[str] = []

    def markdown() -> str:
        made.append("once")
        return "# page\n"

    options = _Files(junit=str(tmp_path), markdown=str(page))
    with pytest.raises(InfrastructureError, match="Is a directory"):
        write_results(options, json=lambda: "{}\n", junit=lambda: "<x/>", markdown=markdown)
    assert page.read_text() == summary.read_text() == "# page\n"
    assert capsys.readouterr().out == "{}\n"
    assert made == ["once"]


def test_a_full_disk_is_an_error_that_names_the_file(directory: Path) -> None:
    _, err = dag("svg", "--format=dot", "--out", "/dev/full", "-d", directory, code=3)
    assert "dag: /dev/full: No space left on device\n" in err
    with pytest.raises(InfrastructureError, match="/dev/full: No space left"):
        write_results(_Files(junit="/dev/full"), json=str, junit=lambda: "x", markdown=str)


def test_a_pipe_whose_reader_left_is_no_end_of_our_own_output(tmp_path: Path) -> None:
    pipe, text = tmp_path / "pipe", "x" * 1_000_000  # more than a pipe keeps
    os.mkfifo(pipe)

    def leave() -> None:
        os.close(os.open(pipe, os.O_RDONLY))

    def write_junit() -> None:
        write_results(_Files(junit=str(pipe)), json=str, junit=lambda: text, markdown=str)

    def write_page() -> None:
        write_documents({str(pipe): text}, flag="html", json=False)

    for write in (write_page, write_junit):
        reader = threading.Thread(target=leave)
        reader.start()
        with pytest.raises(InfrastructureError, match="pipe: Broken pipe"):
            write()
        reader.join()
