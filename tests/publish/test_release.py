"""A release is whole, and the same whenever it is built."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from dag import __version__
from publish.man import manual_pages
from publish.release import ReleaseError, build, check_changelog, compare, source_of

pytestmark = pytest.mark.xdist_group("release")  # what is shared is made in one process
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return (
        build(tmp_path_factory.mktemp("a") / "in", 0o022),
        build(tmp_path_factory.mktemp("b") / "elsewhere", 0o077),
    )


@pytest.mark.long
def test_two_builds_of_a_commit_are_equal_and_a_difference_is_noticed(
    builds: tuple[Path, Path], tmp_path: Path
) -> None:
    modes = [(source_of(one.parent) / "README.md").stat().st_mode & 0o777 for one in builds]
    assert modes == [0o644, 0o600], "what may differ between machines has differed"
    compare(*builds)
    for path in builds[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ReleaseError, match="two builds of one commit differ"):
        compare(builds[0], tmp_path)


@pytest.mark.long
def test_the_wheel_has_the_program_its_manual_and_nothing_else(builds: tuple[Path, Path]) -> None:
    (wheel,) = builds[0].glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA")))
    manual = {name.rpartition("/")[2] for name in names if "/share/man/man1/" in name}
    assert manual == set(manual_pages())
    assert {name.partition("/")[0] for name in names} == {
        "dag",
        f"melange_dag-{__version__}.data",
        f"melange_dag-{__version__}.dist-info",
    }
    said = HeaderParser().parsestr(metadata.decode())
    assert said["Name"] == "melange-dag"
    assert said["Version"] == __version__
    assert said["License-Expression"] == "Apache-2.0"
    for field in ("Summary", "Keywords", "Classifier", "Requires-Python", "Requires-Dist"):
        assert said[field], field


def test_the_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    check_changelog(changelog, __version__)
    with pytest.raises(ReleaseError, match=re.escape(f"begins with {__version__}")):
        check_changelog(changelog, "9.9.9")


@pytest.mark.installs
def test_man_shows_every_page_without_a_complaint() -> None:
    subprocess.run([ROOT / "scripts/apt", "groff-base"], check=True)
    pages = manual_pages()
    assert {"dag.1", "dag-build.1", "dag-setup-gke.1"} <= set(pages)
    for name, text in pages.items():
        done = subprocess.run(
            ["groff", "-man", "-ww", "-Tutf8", "-rLL=100n"],
            input=text,
            env={**os.environ, "GROFF_NO_SGR": "yes"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == "", name
        shown = re.sub(r".\x08", "", done.stdout)  # how bold letters are printed
        assert all(part in shown for part in ("NAME", "SYNOPSIS", "EXAMPLES", "EXIT STATUS")), name
