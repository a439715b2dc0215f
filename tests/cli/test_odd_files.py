"""Files of the directory that are something else: none is read without end or waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from dag.cli.main import main
from dag.core.limits import Limit
from dag.errors import DagError

FILES = [
    *("dag.toml", ".dagignore", ".dockerignore", "Makefile", "more.mk", "vars.yaml"),
    *("a.yaml", "b.yaml", "b.yml", "pipelines/own.yaml", "key.pub"),
]
KINDS = ["zeros", "pipe", "sparse", "socket", "directory", "loop"]
MAKEFILE = """include more.mk
packages/$(ARCH)/%.apk: local-melange.rsa
\tmelange build $*.yaml --vars-file vars.yaml --signing-key local-melange.rsa
"""
DEFINITION = "package: {name: a, version: 1, epoch: 0}\nvars: {}\npipeline: [{uses: own}]\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "d"
    (place / "pipelines").mkdir(parents=True)
    (place / "Makefile").write_text(MAKEFILE)
    (place / "more.mk").write_text("A = b\n")
    (place / "vars.yaml").write_text("a: b\n")
    (place / "a.yaml").write_text(DEFINITION)
    (place / "pipelines" / "own.yaml").write_text("pipeline: [{runs: a}]\n")
    return place


def make(path: Path, kind: str) -> None:
    """Put something in the place of a file."""
    path.unlink(missing_ok=True)
    match kind:
        case "zeros":
            path.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(path)
        case "sparse":
            with path.open("wb") as file:
                file.truncate(4 << 30)
        case "socket":
            # Its path may have a hundred characters only.
            directory = os.open(path.parent, os.O_RDONLY)
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(f"/proc/self/fd/{directory}/{path.name}")
            os.close(directory)
        case "directory":
            path.mkdir()
        case "loop":
            path.symlink_to(path.name)


COMMANDS = {
    "text": ["text"],
    "pod": ["pod", "--create=false", "--push=false", "--bundle-repo=r.io/a"],
    "build": ["build", "--dry-run"],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.timeout(60)
def test_whatever_a_file_is_every_command_ends(place: Path, name: str, kind: str) -> None:
    make(place / name, kind)
    bundled = kind == "sparse" and name not in (".dagignore", "dag.toml", "Makefile")
    for words in COMMANDS.values():
        if words[0] == "pod" and bundled:
            continue  # a large file of the directory is a part of the bundle
        done = CliRunner().invoke(main, [words[0], "-d", str(place), *words[1:]])
        said = str(done.exception) if isinstance(done.exception, DagError) else done.stderr
        assert done.exception is None or isinstance(done.exception, DagError | SystemExit), repr(
            done.exception
        )
        assert "Traceback" not in said
        failed = done.exit_code or isinstance(done.exception, DagError)
        # What is no file is passed over, like a directory of that name.
        if failed and name not in ("a.yaml", "pipelines/own.yaml"):
            assert Path(name).name in said, said


@pytest.mark.timeout(60)
def test_links_that_lead_in_very_many_ways_to_one_pipeline_end(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Limit("a directory of pipelines", 500, "files")
    monkeypatch.setattr("dag.io.package.ways.PIPELINES", few)
    for level in range(17):
        (place / "pipelines" / f"d{level}").mkdir()
        for link in "ab":
            target = f"../d{level + 1}" if level < 16 else "../../a.yaml"
            (place / "pipelines" / f"d{level}" / f"{link}.yaml").symlink_to(target)
    done = CliRunner().invoke(main, ["text", "-d", str(place)])
    assert isinstance(done.exception, DagError)
    assert "has more than 500 files" in str(done.exception)


@pytest.mark.parametrize(
    "words",
    ["graph --store", "build --dry-run --store", "build --dry-run --from", "svg --out", "init"],
)
@pytest.mark.parametrize("below", ["", "/new"])
def test_a_path_that_leads_in_a_circle_is_refused(place: Path, words: str, below: str) -> None:
    make(place / "circle", "loop")
    path = f"{place}/circle{below}"
    done = CliRunner().invoke(main, [*words.split(), path], env={"DAG_DIR": str(place)})
    assert done.exit_code == 2
    assert f"{path}: its symbolic links lead in a circle" in done.output


@pytest.mark.parametrize("flag", ["--build-option", "--target-template", "--make-var=A"])
def test_a_text_that_is_no_text_is_refused(place: Path, flag: str) -> None:
    done = CliRunner().invoke(main, ["text", "--dir", str(place), f"{flag}=\udcff"])
    assert done.exit_code == 2
    assert "\\udcff' is not UTF-8 text" in done.output
