"""Many environments decided together: the answers are those of apko's algorithm for each alone."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.package.candidates import Candidate
from dag.core.package.environments import Environments
from dag.core.package.locking import install_environment
from dag.core.package.outcome import GaveUp
from dag.core.package.resolver import Resolver
from tests.support.repositories import Case, Chance


def compare(case: Case, *, externals: bool) -> Counter[bool]:
    repository, worlds = case
    resolver = Resolver(repository, externals=externals)
    environments = Environments(resolver, worlds)
    for place, needs in enumerate(worlds):
        alone, found = install_environment(resolver, needs), environments.install(place)
        if isinstance(alone, GaveUp):
            assert alone == found
            assert not environments.is_plain(place)
        else:
            assert frozenset(alone.packages) == found
        if environments.is_plain(place):
            assert found == environments.reached(place)
    return Counter(map(environments.is_plain, range(len(worlds))))


@given(st.randoms(use_true_random=False).map(lambda rng: Chance(rng).case()), st.booleans())
def test_what_is_decided_together_is_what_each_installs_alone(
    case: Case,
    externals: bool,
) -> None:
    compare(case, externals=externals)


@pytest.mark.long
def test_thousands_of_environments_and_many_are_plain() -> None:
    seen: Counter[bool] = Counter()
    for seed in range(700):
        seen += compare(Chance(Random(seed)).case(), externals=seed % 2 == 0)
    assert seen[True] > seen[False] / 20


@pytest.mark.long
def test_without_room_fewer_are_plain_and_all_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [Chance(Random(seed)).case() for seed in range(200)]
    roomy = sum((compare(case, externals=True) for case in cases), Counter[bool]())
    monkeypatch.setattr("dag.core.package.environments._ROOM", 3)
    assert (
        sum((compare(case, externals=True) for case in cases), Counter[bool]())[True] < roomy[True]
    )


PLAIN = [
    Candidate("app", "1-r0", "app", depends=("lib>=1", "tool")),
    Candidate("lib", "1-r0", "lib", provides=("virtual=1",)),
    Candidate("tool", "1-r0", "tool", depends=("app",)),
    Candidate("other", "0-r0", "other", provides=("virtual=0",)),
    Candidate("other-tool", "1-r0", "other"),
    Candidate("old", "0-r0", "lib", depends=("!tool",)),
]


def plain(candidates: list[Candidate], *needs: str) -> bool:
    return Environments(Resolver(candidates), [needs]).is_plain(0)


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (["app"], True),
        (["app", "lib>=1"], True),
        (["virtual"], True),
        (["virtual", "other-tool"], True),  # its version is not that of `other`
        (["virtual", "other"], False),  # both provide it
        (["app", "old"], False),  # a conflict
        (["app", "app<1"], False),
        (["app", "unknown"], False),
        (["app", "!lib"], False),
    ],
)
def test_an_environment_is_plain_if_nothing_in_it_could_change_a_choice(
    needs: list[str],
    expected: bool,
) -> None:
    assert plain(PLAIN, *needs) == expected


def test_a_package_of_the_origin_and_version_of_an_alternative_makes_it_not_plain() -> None:
    candidates = [
        Candidate("new", "2-r0", "new", provides=("v",)),
        Candidate("old", "1-r0", "old", provides=("v",)),
        Candidate("old-tool", "1-r0", "old"),
    ]
    assert plain(candidates, "v")
    assert not plain(candidates, "v", "old-tool")


def test_an_environment_with_unsatisfied_needs_still_has_what_the_others_lead_to() -> None:
    environments = Environments(Resolver(PLAIN), [["app", "unknown", "lib>5"]])
    assert environments.choice("unknown") is None
    assert environments.choice("lib>5") is None
    assert environments.reached(0) == {0, 1, 2}
    assert environments.runtime(0) == (1, 2)
    assert isinstance(environments.install(0), GaveUp)


def test_what_was_decided_is_decided_again_with_the_same_numbers() -> None:
    worlds = [["app", "nowhere", "gone>1"], ["app", "!other"], ["nobody"]]
    several = [*PLAIN, Candidate("user", "1-r0", depends=("elsewhere", "app")), PLAIN[0]]
    worlds.append(["user"])
    first = Environments(Resolver(several, externals=True), worlds)
    again = Environments(Resolver(several, externals=True), worlds, first.decisions())
    assert again.decisions() == first.decisions()
    assert again._candidates == first._candidates
    for place in range(len(worlds)):
        assert again.install(place) == first.install(place)
        assert list(again.chosen(place)) == list(first.chosen(place))


def test_a_long_circle_is_one_set() -> None:
    size = 5000
    circle = [
        Candidate(f"p{number}", "1-r0", depends=(f"p{(number + 1) % size}",))
        for number in range(size)
    ]
    environments = Environments(Resolver(circle), [["p0"], ["p4000"]])
    assert environments.is_plain(0)
    assert environments.install(0) == environments.install(1) == frozenset(range(size))


@pytest.mark.long
def test_a_name_that_thousands_provide_takes_no_time() -> None:
    size = 8_000
    several = [Candidate(f"p{number}", "1-r0", provides=("v=1", "w")) for number in range(size)]
    world = [f"p{number}" for number in range(size)]
    environments = Environments(Resolver(several), [world, world[:1], ["w"], ["v>=1"]])
    assert isinstance(environments.install(0), GaveUp)
    assert environments.install(1) == environments.install(2) == frozenset([0])
    assert environments.install(3) == frozenset([0])
