"""The documentation is a site whose links lead somewhere, and its tutorial works as it is written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import parts
from examples.bootstrap import bootstrap

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"


def make_site(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", out],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_page_is_in_the_site_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    done = make_site(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert {path.stem for path in (tmp_path / "site").glob("*.html")} == pages | {"404"}


@pytest.mark.parametrize("link", ["nowhere.md", "build.md#nowhere"])
def test_a_link_that_leads_nowhere_is_noticed(tmp_path: Path, link: str) -> None:
    settings = (ROOT / "mkdocs.yml").read_text()
    (tmp_path / "mkdocs.yml").write_text(settings.partition("nav:\n")[0])
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "build.md").write_text("# Build\n")
    (tmp_path / "docs" / "index.md").write_text(f"[x]({link})\n")
    assert make_site(tmp_path, tmp_path / "site").returncode == 1


def steps() -> list[tuple[str, list[str]]]:
    """Return the commands of the tutorial, each with what it is said to print; … is anything."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(
        r"^```console\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL
    ):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


START = "dag init -r ./bootstrap --keyring ./bootstrap/bootstrap.rsa.pub hello"
"""What begins the distribution here, where there is no repository of Wolfi."""


@pytest.mark.installs
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "dag"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dag "$@"\n')
    program.chmod(0o755)
    bootstrap(tmp_path / "hello" / "bootstrap")
    lines = []
    for number, (command, _) in enumerate(steps()):
        typed = START if command == "dag init hello" else command
        lines += [f"echo {shlex.quote(f'@{number}')}", f"{{ {typed}; }} 2>&1"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{program.parent}:{parts.build('melange')}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "a",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "a@example.com",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    printed = re.split(r"^@\d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(printed) == len(steps()) > 15
    for (command, expected), text in zip(steps(), printed, strict=True):
        missing = [part for line in expected for part in line.split("…") if part not in text]
        assert missing == [], f"$ {command}\n{text}"
