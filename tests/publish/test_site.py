"""The documentation is a site whose links lead somewhere, and its tutorial works as it is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import parts
from tests.support.tutorial import follow_tutorial

ROOT = Path(__file__).resolve().parents[2]


def make_site(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", out],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_every_page_is_in_the_site_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    done = make_site(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert {path.stem for path in (tmp_path / "site").glob("*.html")} == pages | {"404"}


@pytest.mark.parametrize(
    ("link", "code"), [("nowhere.md", 1), ("build.md#nowhere", 1), ("build.md#build", 0)]
)
@pytest.mark.long
def test_a_link_that_leads_nowhere_is_noticed(tmp_path: Path, link: str, code: int) -> None:
    settings = (ROOT / "mkdocs.yml").read_text()
    (tmp_path / "mkdocs.yml").write_text(settings.partition("nav:\n")[0])
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "build.md").write_text("# Build\n")
    (tmp_path / "docs" / "index.md").write_text(f"[x]({link})\n")
    done = make_site(tmp_path, tmp_path / "site")
    assert (done.returncode, f"'{link}'" in done.stderr) == (code, code == 1), done.stderr


@pytest.mark.installs
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "dag"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dag "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{parts.build('melange')}:{os.environ['PATH']}"
    follow_tutorial(tmp_path, {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")})
