"""What environments install, compared with apko's own resolver on repositories that nobody made."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from dag.core.package.candidates import Candidate
from dag.core.package.resolver import Resolver
from dag.core.package.solver import GaveUp, Installed, install
from tests.support.apko import Answer, ask
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
    # Why a version is invalid is said in several ways.
    return sorted(re.sub(r"(invalid version [^ ]*), .*", r"\1", message).split("\n"))


def is_clear(resolver: Resolver, choice: int, need: str) -> bool:
    """Whether apko prefers the choice to every other package.

    It sorts where it shows a choice and looks for the least where it makes it, which comes to the
    same unless its comparison goes in circles.
    """
    name = resolver.universe.constraint(need).name
    others = set(resolver.universe.matching(need)) - {choice}
    return all(resolver.preferences.compare(choice, other, name)[0] < 0 for other in others)


def compare(repository: list[Candidate], environments: list[list[str]]) -> None:
    resolver = Resolver(repository)
    answers = ask(repository, environments)
    again: list[Answer] | None = None
    for place, (needs, answer) in enumerate(zip(environments, answers, strict=True)):
        for need, several in answer.choices.items():
            choice = resolver.preferences.choice(need)
            number = -1 if choice is None else choice
            if number not in several:
                event("a choice of luck")
                assert choice is not None, (need, several)
                assert not is_clear(resolver, choice, need), (need, number, several)
        found = ours(resolver, needs)
        event("gives up" if found[1] else "installs")
        if not is_among(found, answer):
            event("an outcome of luck")
            again = again or ask(repository, environments, tries=OFTEN)
            assert is_among(found, again[place]), (needs, found, again[place].installs)


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
        compare(*case)

    while time.monotonic() < end:
        once()
