"""Distributions for the tests of `dag build`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dag.io.removal import remove
from tests.support.builds import (
    Make,
)
from tests.torture.distribution import generate


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a distribution that has everything but packages."""
    place = tmp_path_factory.mktemp("distribution") / "empty"
    generate(place, count=0, seed=0)
    return place


@pytest.fixture
def make(empty: Path, tmp_path: Path) -> Make:
    """Return a function that writes a distribution of these definitions."""

    def make(**definitions: str) -> Path:
        place = tmp_path / "d"
        place.mkdir(exist_ok=True)
        rules = []
        for name, text in definitions.items():
            (place / f"{name}.yaml").write_text(text)
            version = next(
                line.split()[1] for line in text.splitlines() if line.startswith("  version:")
            )
            rules.append(f"$(eval $(call build-package,{name},{version}-r0))\n")
        makefile = (empty / "Makefile").read_text()
        (place / "Makefile").write_text(makefile + "".join(rules))
        (place / "dag.toml").write_text(
            f'repository = ["{empty}/bootstrap"]\nkeyring = ["{empty}/bootstrap/bootstrap.rsa.pub"]\n'
        )
        return place

    return make


@pytest.fixture
def base(empty: Path) -> Iterator[Path]:
    """Return a directory that every user can get to, with a bootstrap repository in it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        base = Path(name)
        base.chmod(0o755)
        shutil.copytree(empty / "bootstrap", base / "bootstrap")
        yield base
        remove(base / "store")
