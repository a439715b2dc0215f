"""What a build script says of what it took, and what else may stand there."""

from __future__ import annotations

import pytest

from dag.core.build.events import Began, OutOfMemory, Start, Succeeded, Unit
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.usage import Usage, parse_usage

OWN = "0m0.010000s 0m0.020000s\n"


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        (f"{OWN}1m1.500000s 2m0.250000s\n123456\n", Usage(181.75, 123_456)),
        (f"{OWN}0m0,25s 0m0,50s\n", Usage(0.75, None)),
        (f"{OWN}0m1.000s 0m0.000s\nmax\n", Usage(1.0, None)),
        (f"{OWN}0m1.000s 0m0.000s\n12", Usage(1.0, None)),
        (f"{OWN}0m1.0.0s 0m0.000s\n", None),
        (f"{OWN}0m1.000s", None),
        ("1\n2\n3\n", None),
        ("", None),
    ],
)
def test_it_is_read_whole_or_not_at_all(said: str, usage: Usage | None) -> None:
    assert parse_usage(said) == usage


def test_what_is_known_of_a_unit_is_of_its_latest_attempt() -> None:
    scheduler = Scheduler([Unit("a")], RunLimits(jobs=1, max_ram=1 << 40))
    scheduler.handle(Began(), 0)
    (again, *_) = [
        action
        for action in scheduler.handle(OutOfMemory("a", 1, "no", used=Usage(1.0, 5)), 1)
        if isinstance(action, Start)
    ]
    assert again.attempt == 2
    assert scheduler.units["a"].used is None
    scheduler.handle(Succeeded("a", 2, used=Usage(2.0, None)), 2)
    assert scheduler.units["a"].used == Usage(2.0, None)
