"""Repositories made up at random: some like real ones, some such as nobody would publish."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from dag.core.package.candidates import Candidate

NAMES = ["a", "b", "c", "d", "e", "f", "x", "y", "so:l.so.1"]
LIKELY = ["1-r0", "1-r1", "1.2-r0", "1.10-r0", "2_rc1-r0", "2-r0", "2_p1-r3", "3-r9"]
_STRANGE = """
1 2 3 1.0 1.1 1.2 01.1 1.10 1.2.3 1a 1b 2_rc1 2_rc2 2_alpha 2_p1 2_git20240101 1-r0 1-r1 2-r0 3-r9
1.2-r0 1.2.3-r1 2_rc1_p3-r2 1_p1_rc1 0 99999999999999999999 bad 1. 1~ab
"""
STRANGE = _STRANGE.split()
Case = tuple[list[Candidate], list[list[str]]]


class Chance:
    """Makes a repository and environments, of one of three kinds.

    *Strange* ones have what nobody would publish. *Deep* ones can mostly be solved, and what is
    installed already makes a difference. The others are full of conflicts.
    """

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.strange = rng.random() < 0.3
        self.deep = not self.strange and rng.random() < 0.5
        self.pinned = self.strange and rng.random() < 0.4
        self.triggers = rng.random() < 0.1
        self.names = rng.sample(NAMES, rng.randint(2, len(NAMES)))
        self.virtual = ["x", "y", "so:l.so.1", "virtual", rng.choice(self.names)]
        self.needed = self.names
        if self.strange:
            self.needed = [*self.names, *self.names, *self.virtual]
        elif self.deep:
            self.virtual = ["v", "w"]
            self.needed = [*self.names, *self.virtual]

    def one_in(self, chance: int) -> bool:
        return self.rng.randrange(chance) == 0

    def need(self) -> str:
        text = self.rng.choice(self.needed)
        if self.one_in(12 if self.deep else 3):
            if self.strange:
                operators = ["=", "<", ">", "<=", ">=", "~", "=~", "~=", "==", "=>", "><"]
                text += self.rng.choice(operators) + self.rng.choice(STRANGE)
            else:
                operators = [">=", ">=", ">", "<", "<=", "~", "=", "=~"]
                text += self.rng.choice(operators)
                text += self.rng.choice(["1", "1-r0", "1.2", "2", "2_p1", "3-r9"])
        if self.strange and self.one_in(10):
            text += self.rng.choice(["@edge", "@edge", "@"])
        return text

    def provision(self) -> str:
        if self.strange and self.one_in(2):
            return self.need()
        text = self.rng.choice(self.virtual)
        if self.deep or self.one_in(3):
            return text
        return f"{text}={self.rng.choice(['1', '1.5', '2-r0', '3'])}"

    def conflict(self, need: str, chance: int) -> str:
        return f"!{need}" if not self.deep and self.one_in(chance) else need

    def several(self, most: int, one: Callable[[], str]) -> tuple[str, ...]:
        return tuple(one() for _ in range(self.rng.randint(0, most)))

    def candidate(self, name: str, pin: str) -> Candidate:
        return Candidate(
            name=name,
            version=self.rng.choice(STRANGE if self.strange and self.one_in(3) else LIKELY),
            origin=self.rng.choice(["", "one", "two", name]),
            depends=self.several(3, lambda: self.conflict(self.need(), 12)),
            provides=self.several(2, self.provision),
            priority=self.rng.choice([0, 0, 0, 5, 10]),
            install_if=self.several(2, self.need) if self.triggers else (),
            repository=f"https://e.x/{pin}",
            pin=pin,
        )

    def case(self) -> Case:
        names = [*self.names, *self.rng.choices(self.names, k=self.rng.randint(0, 8))]
        pins = [self.rng.choice(["", "edge"]) if self.pinned else "" for _ in names]
        environments = [
            [self.conflict(self.need(), 80) for _ in range(self.rng.randint(1, 4))]
            for _ in range(self.rng.randint(1, 6))
        ]
        return [self.candidate(*one) for one in zip(names, pins, strict=True)], environments
