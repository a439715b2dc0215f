"""Unmodified definitions of 2023 are built by `dag build`, and what comes out works."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.io.package.definitions import read
from tests.real import results, sets
from tests.real.comparing import read_facts
from tests.real.convert import ARCH
from tests.real.quick import build_quick
from tests.torture.distribution import index


@pytest.mark.timeout(1200)  # the first time Debian's compiler is fetched and converted
def test_real_definitions_build_and_work(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    here = build_quick(tmp_path_factory)
    built = read_facts(here.packages)
    defined = read(sets.DEFINITIONS, arch=ARCH)
    assert built.keys() == {name for package in defined for name in package.promised}
    assert len(index(here.packages)) == len(built)
    # melange found these in the files.
    assert "so:libmd.so.0" in built["libbsd"].depends
    assert "pc:libbsd=0.11.7-r0" in built["libbsd-dev"].provides
    assert {"cmd:zip=3.0-r0", "cmd:zipnote=3.0-r0"} <= built["zip"].provides
    tried = results.use(tmp_path, here.distribution.repository, here.packages, built)
    assert tried == ["zip", "lz4"]
