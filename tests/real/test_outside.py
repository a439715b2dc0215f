"""What is not built comes from Debian, or is lacking."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.io.package.definitions import read_directory
from tests.real.outside import Outside, find_outside
from tests.support.builds import definition

CURL = ("curl", "libcurl4-openssl-dev")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


def write(place: Path, name: str, *needs: str, runtime: str = "", version: str = "1") -> None:
    extra = f"  dependencies:\n    runtime: [{runtime}]\n"
    text = definition(name, *needs, extra=extra, version=version)
    (place / f"{name}.yaml").write_text(text)


def found(place: Path, *wanted: str) -> tuple[dict[str, list[Outside]], list[str]]:
    outside, lacking = find_outside(read_directory(place, arch="x86_64").packages, wanted)
    offered: dict[str, list[Outside]] = {}
    for one in outside:
        offered.setdefault(one.name, []).append(one)
    return offered, lacking


def test_what_only_others_need_at_run_time_needs_no_package_of_debian(place: Path) -> None:
    write(place, "built", "curl", "user")
    write(place, "user", runtime="needed-too, never-heard-of")
    write(place, "curl", runtime="by-the-way, unheard-of")
    write(place, "by-the-way")
    write(place, "needed-too")
    offered, lacking = found(place, "built", "user")
    told = "neither Debian nor tests/real/names.py has packages for"
    assert lacking == [f"{told}: needed-too, never-heard-of"]
    assert [one.packages for one in offered["curl"]] == [{"curl": CURL}]
    assert [one.packages for one in offered["by-the-way"]] == [{"by-the-way": ()}]
    assert "unheard-of" not in offered


def test_a_version_that_no_definition_has_is_offered_beside_that_which_one_has(place: Path) -> None:
    write(place, "built", "curl<7", "expat=2.5.0-r3", "xz~5.2", "zlib>1.3", "zstd>=2", "curl")
    write(place, "curl", version="8")
    offered, lacking = found(place, "built")
    assert not lacking
    versions = {name: [one.version for one in several] for name, several in offered.items()}
    assert versions == {
        "busybox": ["1-r0"],
        "curl": ["1-r0"],
        "expat": ["2.5.0-r3"],
        "xz": ["5.2-r0"],
        "zlib": ["9999-r0"],
        "zstd": ["2-r0"],
    }
    assert offered["curl"][0].packages == {"curl": CURL}


def test_an_environment_that_apko_does_not_install_is_said(place: Path) -> None:
    write(place, "built", "curl", "second")
    write(place, "second", "curl")
    write(place, "curl", runtime="'!second'")
    _, lacking = found(place, "built", "second")
    assert [line.partition(": ")[0] for line in lacking] == [
        "apko cannot install what built is built with"
    ]


def test_what_needs_itself_is_offered_in_a_lower_version_until_it_is_built(place: Path) -> None:
    write(place, "bison", "bison")
    write(place, "curl", "zlib")
    write(place, "zlib", "file")
    write(place, "file", "curl")
    write(place, "zip", "file")
    offered, lacking = found(place, "bison", "curl", "file", "zip", "zlib")
    assert not lacking
    versions = {name: [one.version for one in several] for name, several in offered.items()}
    assert versions == {
        "bison": ["0-r0"],
        "busybox": ["1-r0"],
        "curl": ["0-r0"],
        "file": ["0-r0"],
        "zlib": ["0-r0"],
    }
