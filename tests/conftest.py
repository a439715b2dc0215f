"""What holds for every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine makes an example slow; that says nothing about the code.
# The same examples in every run: what fails has to do with what was changed. DAG_EXPLORE=1 looks on.
explore = bool(os.environ.get("DAG_EXPLORE"))
settings.register_profile("dag", deadline=None, derandomize=not explore)
settings.load_profile("dag")


# What tests start hears a terminal close, also if they run under nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# `make test` is no make that the makes of tests are part of.
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what waits most, pods; while some have the cluster alone, others need none of it."""
    cluster = Path(__file__).parent / "cluster"

    def turn(item: pytest.Item) -> int:
        if cluster not in item.path.parents:
            return 2
        return 1 if "alone" in getattr(item, "fixturenames", ()) else 0

    items.sort(key=turn)
    for item in items:
        if turn(item) == 1:
            item.add_marker(pytest.mark.xdist_group("alone"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", action="store_true", help="write golden files anew instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the file of that name in `golden/` beside the test."""

    def compare(name: str, text: str) -> None:
        path = request.path.parent / "golden" / name
        if request.config.getoption("--golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"{path}: `make golden` writes it anew"

    return compare
