"""The definitions of whole distributions, compared with what melange answers live."""

from __future__ import annotations

import random

import pytest

from dag.io.package.definitions import read
from tests.melange.test_live import ours_of
from tests.support.distributions import TODAY, as_melange_says, in_order, unpacked
from tests.support.melange import ROOT, answer


def test_the_examples_are_read_as_melange_reads_them() -> None:
    examples = ROOT / "examples" / "distribution"
    files = [package.file for package in read(examples, arch="x86_64", cached=False)]
    assert files
    for path in (examples / file for file in files):
        theirs = answer(path)
        assert isinstance(theirs, dict), (path, theirs)
        assert as_melange_says(ours_of(path)) == in_order(theirs), path


@pytest.mark.parametrize("arch", ["aarch64", "riscv64", "armv7", "x86"])
def test_a_sample_of_today_on_other_architectures(arch: str) -> None:
    root = unpacked(TODAY)
    paths = random.Random(arch).sample(sorted(root.glob("*.yaml")), 25)
    for path in paths:
        theirs = answer(path, arch=arch)
        ours = ours_of(path, arch)
        if isinstance(theirs, str):
            assert "skip this arch" in theirs
            assert not ours.builds_on(arch)
        else:
            assert ours.builds_on(arch)
            assert as_melange_says(ours) == in_order(theirs), path
