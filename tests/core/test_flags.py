"""Declared flags: what follows from one declaration."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import ClassVar

import pytest

from dag.core.flags import (
    GENERAL,
    Options,
    arguments,
    counting_flag,
    flag,
    flag_group,
    flags_of,
    list_flag,
    required_flag,
    switch,
)
from dag.core.kinds import DURATION, EXISTING_DIRECTORY, TEXT, whole


@flag_group
class Loud(Options):
    heading: ClassVar[str] = GENERAL

    verbose: int = counting_flag("-v --verbose", "Say more.")


@flag_group
class Times(Options):
    heading: ClassVar[str] = "Times"

    patience: float = flag(DURATION, "--patience", "Wait so long.", default="1m30s")
    retries: int | None = flag(whole(0), "--retries", "Try so often.", shown="for ever")
    out: str | None = flag(TEXT, "-o --out", "Write here.", command="x", variable="OUT")


@flag_group
class Everything(Loud, Times):
    heading: ClassVar[str] = "Own"

    names: tuple[str, ...] = arguments(TEXT, "[NAME]...", "The names.")
    where: str = flag(EXISTING_DIRECTORY, "--dir", "Read here.", default=".", finds_file=True)
    given: tuple[str, ...] = list_flag(TEXT, "--make-var", "Assign.", table="make")
    secret: str | None = flag(TEXT, "--secret", "Tell.", typed_only=True)
    push: bool = switch("--push -p", "Push.", default=True)
    since: str = required_flag(TEXT, "--since", "Compare.")


FLAGS = {one.field: one.flag for one in flags_of(Everything)}


def test_a_field_has_the_type_and_the_default_that_the_flag_has() -> None:
    made = Everything(since="now")
    assert (made.patience, made.retries, made.names, made.push) == (90.0, None, (), True)
    assert (made.where, made.verbose, made.out) == (".", 0, None)
    with pytest.raises(TypeError, match="since"):
        Everything()  # type: ignore[call-arg, unused-ignore]


def test_flags_are_in_the_order_of_their_groups_and_those_of_every_command_last() -> None:
    found = [(one.heading, one.field) for one in flags_of(Everything)]
    own = ("names", "where", "given", "secret", "push", "since")
    assert found == [
        *(("Own", name) for name in own),
        *(("Times", name) for name in ("patience", "retries", "out")),
        (GENERAL, "verbose"),
    ]
    assert {one.name for one in fields(Everything)} == set(FLAGS)


@pytest.mark.parametrize(
    ("field", "variables", "key"),
    [
        ("patience", ("DAG_PATIENCE",), "patience"),
        ("out", ("DAG_X_OUT", "OUT"), "out"),
        ("given", ("DAG_MAKE_VAR",), "make"),
        ("where", ("DAG_DIR",), ""),
        ("secret", (), "secret"),
        ("names", (), ""),
    ],
)
def test_names_elsewhere_follow_from_the_flag(
    field: str, variables: tuple[str, ...], key: str
) -> None:
    assert (FLAGS[field].variables, FLAGS[field].key) == (variables, key)


def test_help_shows_defaults_as_they_are_typed_and_what_may_be_repeated() -> None:
    words = {name: one.default_words for name, one in FLAGS.items()}
    assert (words["patience"], words["retries"], words["push"]) == ("1m30s", "for ever", "true")
    assert FLAGS["given"].sentences == "Assign. It may be given several times."
    assert FLAGS["names"].sentences == "The names."


def test_a_command_may_declare_a_flag_of_a_group_anew_with_another_default() -> None:
    @flag_group
    class Louder(Loud):
        heading: ClassVar[str] = "Voice"

        verbose: int = whole_flag("3")

    (one,) = [one for one in flags_of(Louder) if one.field == "verbose"]
    assert one.heading == "Voice"
    assert one.flag.default == "3"


def whole_flag(default: str) -> int:
    return flag(whole(0), "--verbose", "Say this much.", default=default)


def test_options_are_equal_if_their_values_are_and_cannot_be_changed() -> None:
    made = Everything(since="now", names=("a",))
    assert made == Everything(since="now", names=("a",))
    assert hash(made) == hash(Everything(since="now", names=("a",)))
    assert made != Everything(since="then", names=("a",))
    assert made != Loud()
    assert replace(made, since="then").since == "then"
    assert repr(Loud(verbose=2)) == "Loud(verbose=2)"
    with pytest.raises(FrozenInstanceError, match="since"):
        made.since = "then"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="since"):
        del made.since
    with pytest.raises(TypeError, match="unheard"):
        Loud(unheard=1)  # type: ignore[call-arg]
