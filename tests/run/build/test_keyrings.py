"""Of two keys with one name melange finds one, so the second is refused, with what the command has for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.errors import UsageError
from dag.run.build.keyrings import check_keyrings

NAME = "melange.rsa.pub"
OTHERS = "one of the two must sign with a key of another name"


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    """Return two different keys of one name."""
    made = [tmp_path / folder / NAME for folder in ("one", "other")]
    for path in made:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    return [str(path) for path in made]


def refusal(keyrings: list[str], own: str, **more: str) -> tuple[str, str | None]:
    with pytest.raises(UsageError) as raised:
        check_keyrings(keyrings, own, None, **more)
    return raised.value.message, raised.value.hint


def test_a_flag_is_named_where_it_is_the_builds_own_key_that_is_in_the_way(keys: list[str]) -> None:
    message, hint = refusal(keys[:1], NAME)
    assert f"{keys[0]} and the build's own key are both called {NAME}" in message
    assert hint == f"{OTHERS}; --signing-key gives this build one"
    _, hint = refusal(keys[:1], NAME, flags="--secret-key")
    assert hint == f"{OTHERS}; --secret-key gives this build one"


def test_no_flag_helps_where_both_are_those_of_others(keys: list[str]) -> None:
    message, hint = refusal(keys, "own.rsa.pub")
    assert f"--keyring {keys[1]} and {keys[0]} are both called {NAME}" in message
    assert hint == OTHERS


def test_the_same_key_may_be_there_twice(keys: list[str]) -> None:
    check_keyrings([keys[0], keys[0]], NAME, Path(keys[0]))
