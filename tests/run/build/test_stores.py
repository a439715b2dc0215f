"""The store of a build is opened as a whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.limits import TooLarge
from dag.io.store.places import StorePlace
from dag.run.build.stores import open_store


def test_who_cannot_open_a_store_lets_go_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TooLarge("it is too much")

    place = StorePlace(str(tmp_path / "store"), tmp_path / "store")
    with monkeypatch.context() as patched:
        patched.setattr("dag.run.build.stores.take_over", fail)
        with pytest.raises(TooLarge):
            open_store(place, Arch.parse("x86_64"), wait=False, say=print)
    open_store(place, Arch.parse("x86_64"), wait=False, say=print).close()
