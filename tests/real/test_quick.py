"""Unmodified definitions of 2023 are built by `dag build`, and what comes out works."""

from __future__ import annotations

import pytest

from dag.io.package.definitions import read
from tests.real import results, sets
from tests.real.comparing import read_facts
from tests.real.convert import ARCH
from tests.real.distribution import lay_out, workplace
from tests.real.ways import build_by
from tests.torture.distribution import index


@pytest.mark.timeout(1200)  # the first time Debian's compiler is fetched and converted
def test_real_definitions_build_and_work() -> None:
    with workplace() as place:
        distribution = lay_out(place / "distribution", sets.DEFINITIONS, sets.QUICK)
        packages = build_by("build", distribution, place / "build")
        built = read_facts(packages)
        defined = read(sets.DEFINITIONS, arch=ARCH)
        assert built.keys() == {name for package in defined for name in package.promised}
        assert len(index(packages)) == len(built)
        # melange found these in the files.
        assert "so:libmd.so.0" in built["libbsd"].depends
        assert "pc:libbsd=0.11.7-r0" in built["libbsd-dev"].provides
        assert {"cmd:zip=3.0-r0", "cmd:zipnote=3.0-r0"} <= built["zip"].provides
        tried = results.use(place / "roots", distribution.repository, packages, built)
        assert tried == ["zip", "lz4"]
