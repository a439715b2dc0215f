"""What environments install, compared with apko's own resolver on repositories that nobody made."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from dag.core.package.candidates import Candidate
from dag.core.package.environments import Environments
from dag.core.package.outcome import GaveUp, Installed
from dag.core.package.resolver import Resolver
from dag.core.package.solver import install
from dag.core.package.supply import Supply
from dag.io.package.definitions import read
from tests.support.apko import Answer, ask
from tests.support.distributions import SEED, TODAY, unpacked
from tests.support.repositories import Case, Chance

SECONDS = float(os.environ.get("DAG_DIFFERENTIAL_SECONDS", "40"))
OFTEN = 300
"""How often apko is asked before an answer that it did not give counts as wrong: it walks over
maps, so a few of its answers are a matter of luck."""


def ours(resolver: Resolver, needs: Sequence[str]) -> tuple[tuple[int, ...], str]:
    found = install(resolver, needs)
    match found:
        case Installed():
            return found.packages, ""
        case GaveUp():
            assert found.constraint
            return (), found.message


def is_among(found: tuple[tuple[int, ...], str], answer: Answer) -> bool:
    """Whether apko gave this answer; in which order it lists several reasons means nothing."""
    packages, message = found
    return any(
        packages == one.packages and reasons(message) == reasons(one.error)
        for one in answer.installs
    )


def reasons(message: str) -> list[str]:
    # Why a version is invalid is said in several ways; the first reason follows on the same line.
    message = re.sub(r"(invalid version [^ ]*), .*", r"\1", message)
    return sorted(message.replace("constraint:   ", "constraint:\n  ").split("\n"))


def is_clear(resolver: Resolver, choice: int, need: str) -> bool:
    """Whether apko prefers the choice to every other package.

    It sorts where it shows a choice and looks for the least where it makes it, which comes to the
    same unless its comparison goes in circles.
    """
    name = resolver.universe.constraint(need).name
    others = set(resolver.universe.matching(need)) - {choice}
    return all(resolver.preferences.compare(choice, other, name)[0] < 0 for other in others)


def compare(repository: list[Candidate], environments: list[list[str]]) -> int:
    """Compare all answers; how many environments can be solved."""
    solved = 0
    resolver = Resolver(repository)
    decided = Environments(resolver, environments)
    answers = ask(repository, environments)
    for place, (needs, answer) in enumerate(zip(environments, answers, strict=True)):
        for need, several in answer.choices.items():
            choice = resolver.preferences.choice(need)
            number = -1 if choice is None else choice
            if number not in several:
                assert choice is not None, (need, several)
                assert not is_clear(resolver, choice, need), (need, number, several)
        found = ours(resolver, needs)
        solved += not found[1]
        together = decided.install(place)
        if isinstance(together, frozenset):
            assert together == set(found[0])
        else:
            assert together.message == found[1]
        if not is_among(found, answer):
            (once_more,) = ask(repository, [needs], tries=OFTEN)
            assert is_among(found, once_more), (needs, found, once_more.installs)
    return solved


def test_environments_nobody_wrote_install_what_apko_installs() -> None:
    end = time.monotonic() + SECONDS

    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False).map(lambda rng: Chance(rng).case()))
    def once(case: Case) -> None:
        event("some are solved" if compare(*case) else "none is solved")

    while time.monotonic() < end:
        once()


class Real:
    """The packages of a real distribution, and environments that nobody asked for."""

    def __init__(self, name: str) -> None:
        packages = read(unpacked(name), arch="x86_64")
        made = Supply(one for one in packages if one.builds_on("x86_64")).resolver
        universe = made.universe
        listed = made.candidates[: universe.listed]
        needs = {need.text for package in packages for need in package.environment}
        self.needs = sorted(needs.union(*(one.depends for one in listed)))
        self.needs = [text for text in self.needs if text[:1] != "!"]
        unknown = {
            universe.constraint(text).name for text in self.needs if not universe.is_known(text)
        }
        self.candidates = [*listed, *(Candidate(name, "1-r0") for name in sorted(unknown))]
        self.names = [one.name for one in listed]
        provided = [universe.constraint(text) for one in listed for text in one.provides]
        self.provided = [one.name for one in provided if one.name[:1] != "!"]
        self.versions = sorted({one.version for one in listed})

    def environment(self, rng: Random) -> list[str]:
        return [self._need(rng) for _ in range(rng.randint(1, 9))]

    def _need(self, rng: Random) -> str:
        chance = rng.random()
        if chance < 0.6:
            return rng.choice(self.needs)
        text = rng.choice(self.names if chance < 0.9 else self.provided)
        if chance > 0.98:
            text += rng.choice(["<", "<=", ">", ">=", "~"]) + rng.choice(self.versions)
        return text


@pytest.mark.parametrize("name", [TODAY, SEED])
def test_real_packages_are_installed_together_as_apko_does(name: str) -> None:
    real = Real(name)
    rng = Random(name if "DAG_EXPLORE" not in os.environ else None)
    environments = [real.environment(rng) for _ in range(600)]
    seen = compare(real.candidates, environments)
    assert seen > len(environments) / 2
