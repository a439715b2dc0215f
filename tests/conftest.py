"""What holds for every test."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings

# A busy machine makes an example slow; that says nothing about the code.
settings.register_profile("dag", deadline=None)
settings.load_profile("dag")


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
