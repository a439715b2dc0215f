"""Definitions that use every part of melange's language, compared with what melange answers live."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.package.melangeflags import Resolution
from dag.core.package.model import Package
from dag.core.package.pipelines import Table
from dag.io.package.ways import Ways
from tests.melange.definitions import DEFINITIONS, PIPELINES
from tests.support.definitions import compiled
from tests.support.distributions import as_melange_says, in_order
from tests.support.melange import answer


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("definitions")
    for name, text in PIPELINES.items():
        (root / "pipelines" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "pipelines" / name).write_text(_dedented(text))
    (root / "pipelines" / "linked").symlink_to("../shared")
    (root / "shared" / "loop").mkdir()
    (root / "shared" / "loop" / "again").symlink_to("../../pipelines/local")
    (root / "pipelines" / "local" / "round").symlink_to("..")
    for name, text in DEFINITIONS.items():
        (root / f"{name}.yaml").write_text(_dedented(text))
    return root


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix(" " * 8) for line in text.splitlines()) + "\n"


def ours_of(path: Path, arch: str = "x86_64", options: tuple[str, ...] = ()) -> Package:
    """Return what a definition is here, with the pipelines beside it."""
    package, problems = compiled(
        path.read_bytes(),
        path.name,
        arch=arch,
        table=Table(Ways(path.parent, Arch.parse(arch)).find(Resolution()).texts),
        options=options,
    )
    assert not problems
    assert package is not None
    return package


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_each_word_of_the_language_means_what_it_means_to_melange(
    directory: Path, name: str, arch: str
) -> None:
    path = directory / f"{name}.yaml"
    theirs = answer(path, arch=arch)
    assert isinstance(theirs, dict), theirs
    assert as_melange_says(ours_of(path, arch)) == in_order(theirs)


def test_a_build_option_changes_what_it_changes_for_melange(directory: Path) -> None:
    path = directory / "optional.yaml"
    theirs = answer(path, options=["extra"])
    assert isinstance(theirs, dict), theirs
    assert as_melange_says(ours_of(path, options=("extra",))) == in_order(theirs)
    assert as_melange_says(ours_of(path)) != in_order(theirs)


def test_what_an_if_leaves_out(directory: Path) -> None:
    ours = ours_of(directory / "ranges.yaml")
    assert [one.name for one in ours.subpackages] == ["ranges-a", "ranges-c-3"]
    assert [one.name for one in ours.left_out] == ["ranges-b", "arch-only"]
