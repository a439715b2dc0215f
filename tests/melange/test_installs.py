"""What environments install, compared with apko's own resolver on repositories that nobody made."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from dag.core.package.candidates import Candidate
from dag.core.package.environments import Environments
from dag.core.package.locking import install_environment
from dag.core.package.outcome import GaveUp, Installed
from dag.core.package.resolver import Resolver
from dag.core.package.solver import install
from dag.core.package.supply import Supply
from dag.io.package.definitions import read
from tests.support.apko import Answer, ask, melange_installs
from tests.support.definitions import compiled
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


def alone(resolver: Resolver, needs: Sequence[str]) -> frozenset[int] | GaveUp:
    found = install_environment(resolver, needs)
    return frozenset(found.packages) if isinstance(found, Installed) else found


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
        assert decided.install(place) == alone(resolver, needs)
        if not is_among(found, answer):
            (once_more,) = ask(repository, [needs], tries=OFTEN)
            assert is_among(found, once_more), (needs, found, once_more.installs)
    return solved


@pytest.mark.torture
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


def is_plain_for_locking(case: Case) -> bool:
    """Whether names and versions tell packages apart, and there is nothing that `ask` alone asks."""
    repository, environments = case
    versions = {(one.name, one.version) for one in repository}
    needs = [need for needs in environments for need in needs]
    return len(versions) == len(repository) and not (
        any(one.install_if or one.pin for one in repository)
        or any(need[:1] == "!" or "@" in need for need in needs)
    )


@pytest.mark.torture
def test_environments_nobody_wrote_install_what_melange_has_apko_install() -> None:
    # apko sorts the needs, locks what it found and solves that again: each can change the answer.
    end = time.monotonic() + SECONDS
    seen: Counter[str] = Counter()

    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32))
    def once(seed: int) -> None:
        chance = Chance(Random(seed))
        repository, environments = chance.case()
        if chance.strange or not is_plain_for_locking((repository, environments)):
            return
        resolver = Resolver(repository)
        decided = Environments(resolver, environments)
        for place, needs in enumerate(environments):
            found = decided.install(place)
            wanted: object = "gave up"
            if isinstance(found, frozenset):
                wanted = {f"{repository[one].name}={repository[one].version}" for one in found}
                once_only = install(resolver, needs)
                changed = not isinstance(once_only, Installed) or {*once_only.packages} != found
                seen["another" if changed else "the same"] += 1
            for _ in range(OFTEN):
                theirs = melange_installs(repository, needs)
                if wanted == ("gave up" if isinstance(theirs, str) else theirs):
                    break
            else:
                raise AssertionError((needs, wanted, theirs))

    while time.monotonic() < end:
        once()
    assert seen["the same"] > seen["another"] > 0


def test_a_need_with_white_space_around_it_cannot_be_locked() -> None:
    need = "lib\n"
    assert isinstance(melange_installs([Candidate("lib", "1-r0")], [need]), str)
    definition = f"package: {{name: x, version: '1'}}\nenvironment: {{contents: {{packages: [{json.dumps(need)}]}}}}\n"
    _, problems = compiled(definition.encode(), "x.yaml")
    assert [(one.line, one.what) for one in problems] == [
        (2, "'lib\\n' in environment.contents.packages is not a package")
    ]


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


@pytest.mark.torture
@pytest.mark.parametrize("name", [TODAY, SEED])
def test_real_packages_are_installed_together_as_apko_does(name: str) -> None:
    real = Real(name)
    rng = Random(name if "DAG_EXPLORE" not in os.environ else None)
    environments = [real.environment(rng) for _ in range(600)]
    seen = compare(real.candidates, environments)
    assert seen > len(environments) / 2
