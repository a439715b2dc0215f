"""Which of several packages is taken for a need; the cases are those of FAULTS.md, G1 to G3."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.package.candidates import Candidate, Offered
from dag.core.package.preference import PreferenceReason
from dag.core.package.resolver import Resolver
from tests.support.repositories import Chance

VERSIONED_PROVIDERS = [
    Candidate("rt-1", "1.9.0-r0", provides=("rt=1.9.0",)),
    Candidate("rt-2", "2.3.0-r0", provides=("rt=2.3.0",)),
]
BOOTSTRAP_CHAIN = [
    Candidate("comp-1", "1.0.0-r0", provides=("comp=1.0.0",)),
    Candidate("comp-2", "2.0.0-r0", provides=("comp=2.0.0",)),
    Candidate("comp-3", "3.0.0-r0", provides=("comp=3.0.0",)),
]
PROVIDER_ORDER = [
    Candidate("named", "1.0-r0", provides=("zz=1",)),
    Candidate("other", "5.0-r0", provides=("named=5.0",)),
    Candidate("pa", "2.0-r0", provides=("x=2.0",), priority=5),
    Candidate("pb", "1.0-r0", provides=("x=1.0",), priority=10),
    Candidate("qa", "2.0-r0", provides=("y",), priority=5),
    Candidate("qb", "1.0-r0", provides=("y",), priority=10),
    Candidate("qc", "3.0-r0", provides=("y",), priority=10),
]
UNSATISFIABLE = [Candidate("asm", "3.0.1-r0")]


def taken(candidates: list[Candidate], need: str) -> str | None:
    choice = Resolver(candidates).preferences.choice(need)
    return None if choice is None else candidates[choice].name


@pytest.mark.parametrize(
    ("candidates", "need", "name"),
    [
        (VERSIONED_PROVIDERS, "rt", "rt-2"),
        (VERSIONED_PROVIDERS, "rt<2", "rt-1"),
        (BOOTSTRAP_CHAIN, "comp~1", "comp-1"),
        (BOOTSTRAP_CHAIN, "comp~2", "comp-2"),
        (BOOTSTRAP_CHAIN, "comp", "comp-3"),
        (PROVIDER_ORDER, "x", "pa"),
        (PROVIDER_ORDER, "y", "qc"),
        (PROVIDER_ORDER, "named", "other"),
        (PROVIDER_ORDER, "named<5", "named"),
        (UNSATISFIABLE, "asm<3", None),
        (UNSATISFIABLE, "asm", "asm"),
        (UNSATISFIABLE, "nasm", None),
    ],
)
def test_the_choice_is_what_apko_takes(
    candidates: list[Candidate], need: str, name: str | None
) -> None:
    assert taken(candidates, need) == name
    assert taken(candidates[::-1], need) == name


def test_what_nothing_satisfies_is_said_with_what_there_is() -> None:
    universe = Resolver(UNSATISFIABLE).universe
    assert universe.offered("asm<3") == [Offered(0, "3.0.1-r0")]
    assert universe.offered("nasm") == []


@pytest.mark.parametrize(
    ("need", "reason", "runner_up"),
    [
        ("x", PreferenceReason.PROVIDED_VERSION, "pb"),
        ("y", PreferenceReason.RELEASE, "qb"),
        ("named<5", PreferenceReason.ONLY, None),
    ],
)
def test_a_choice_of_several_is_explained(
    need: str, reason: PreferenceReason, runner_up: str | None
) -> None:
    choice = Resolver(PROVIDER_ORDER).preferences.explained(need)
    assert choice is not None
    assert choice.reason == reason
    next_best = choice.runner_up
    assert (None if next_best is None else PROVIDER_ORDER[next_best].name) == runner_up
    assert len(choice.others) == {"x": 1, "y": 2, "named<5": 0}[need]


def test_priority_decides_before_the_release_but_after_the_version_of_the_name() -> None:
    low, high = (
        Candidate("low", "9-r0", provides=("v=1",)),
        Candidate("high", "1-r0", provides=("v=1",)),
    )
    assert taken([low, high], "v") == "low"
    assert taken([low, high._replace(priority=1)], "v") == "high"
    assert taken([low._replace(provides=("v=2",)), high._replace(priority=1)], "v") == "low"


def test_equal_packages_are_taken_by_name_then_by_place() -> None:
    assert (
        taken(
            [Candidate("b", "1-r0", provides=("v",)), Candidate("a", "1-r0", provides=("v",))], "v"
        )
        == "a"
    )
    twins = [Candidate("a", "1-r0", "one"), Candidate("a", "1-r0", "two")]
    assert Resolver(twins).preferences.choice("a") == 0


def test_a_package_of_a_tagged_repository_is_for_needs_with_that_tag() -> None:
    edge = Candidate("a", "2-r0", repository="edge", pin="edge")
    assert taken([edge], "a") is None
    assert taken([edge], "a@edge") == "a"
    resolver = Resolver([edge, Candidate("a", "1-r0"), edge._replace(version="3-r0")])
    assert resolver.preferences.choice("a") == 1
    assert resolver.preferences.choice("a@edge") == 2


def test_a_version_without_an_operator_that_apko_knows_is_no_constraint() -> None:
    assert taken(UNSATISFIABLE, "asm~=9") == "asm"


def test_any_version_that_a_package_provides_can_satisfy_a_constraint() -> None:
    # One of apko's oddities: of whatever name.
    assert taken([Candidate("a", "1-r0", provides=("b=7",))], "a>5") == "a"


def test_an_invalid_version_satisfies_no_constraint() -> None:
    assert taken([Candidate("a", "bad", provides=("a=7",))], "a>5") is None
    assert taken([Candidate("a", "bad")], "a") == "a"
    assert taken([Candidate("a", "1-r0")], "a>bad") is None


def test_what_nobody_has_is_external_whatever_the_constraint() -> None:
    resolver = Resolver(UNSATISFIABLE, externals=True)
    number = resolver.preferences.choice("nasm>=2")
    assert number == resolver.preferences.choice("nasm<1") == resolver.universe.listed
    assert resolver.candidates[number].name == "nasm"
    assert resolver.preferences.choice("asm<3") is None
    assert not resolver.universe.is_known("nasm")


@given(st.integers(0, 2**32).map(lambda seed: Chance(Random(seed)).case()), st.randoms())
def test_the_order_of_packages_plays_no_part_where_one_is_preferred_to_all(
    case: tuple[list[Candidate], list[list[str]]], rng: Random
) -> None:
    repository, environments = case
    shuffled = rng.sample(repository, len(repository))
    one, other = Resolver(repository), Resolver(shuffled)
    for need in {need for needs in environments for need in needs}:
        choice, again = one.preferences.choice(need), other.preferences.choice(need)
        if choice is None or again is None:
            assert choice == again
            continue
        assert choice in one.universe.matching(need)
        name = one.universe.constraint(need).name
        others = set(one.universe.matching(need)) - {choice}
        pin = one.universe.constraint(need).pin
        if all(one.preferences.compare(choice, two, name, pin)[0] < 0 for two in others):
            assert repository[choice] == shuffled[again]
