"""What the environments of today's distribution install is what apko's resolver answered."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import zstandard

from dag.core.arch import Arch
from dag.core.graph.draw import Kind, lines
from dag.core.graph.graph import Graph
from dag.core.package.environments import Environments
from dag.core.package.model import Package
from dag.core.package.outcome import GaveUp
from dag.core.package.supply import Supply
from dag.io.package.definitions import read
from tests.support.distributions import TODAY, data, unpacked


class Distribution:
    """The definitions for one architecture, and what each installs by our own account."""

    def __init__(self) -> None:
        packages = read(unpacked(TODAY), arch="x86_64")
        self.packages = [package for package in packages if package.builds_on("x86_64")]
        self.supply = Supply(self.packages)
        self.needs = [self.supply.needs(package) for package in self.packages]
        self.environments = Environments(self.supply.resolver, self.needs)

    def choices(self, place: int) -> dict[str, list[str] | None]:
        """What each need is given, as the stored answers have it: without external packages."""
        found: dict[str, list[str] | None] = {}
        for text in self.needs[place]:
            number = self.environments.choice(text)
            if number is None:
                found[text] = None
            elif not self.supply.is_external(number):
                found[text] = list(self.supply.resolver.candidates[number][:3])
        return found

    def installed(self, place: int) -> tuple[list[str] | None, str | None]:
        """The definitions whose packages are installed, itself left out, or apko's error."""
        found = self.environments.install(place)
        if isinstance(found, GaveUp):
            return None, found.message[:400]
        owners = self.supply.owners(found) - {place}
        return sorted(self.packages[owner].name for owner in owners), None


def stored() -> dict[str, dict[str, Any]]:
    compressed = data("installs-2026-08-22.json.zst").read_bytes()
    answers: dict[str, dict[str, Any]] = json.loads(zstandard.decompress(compressed))
    return answers


pytestmark = pytest.mark.xdist_group("installs")  # what is shared is made in one process


@pytest.fixture(scope="module")
def today() -> Distribution:
    return Distribution()


@pytest.fixture(scope="module")
def places(today: Distribution) -> dict[int, Package]:
    """The definitions that there is an answer for, by their places."""
    answers = stored()
    return {place: one for place, one in enumerate(today.packages) if one.file in answers}


def test_each_need_is_given_what_apko_takes(
    today: Distribution, places: dict[int, Package]
) -> None:
    answers = stored()
    assert len(places) == len(answers) == 3400
    differences = {
        package.file: (found, answers[package.file]["needs"])
        for place, package in places.items()
        if (found := today.choices(place)) != answers[package.file]["needs"]
    }
    assert not differences


def test_each_environment_installs_what_apko_installs_or_gives_up_with_its_words(
    today: Distribution, places: dict[int, Package]
) -> None:
    answers = stored()
    differences = {
        package.file: (found, wanted)
        for place, package in places.items()
        if (found := today.installed(place))
        != (wanted := (answers[package.file]["install"], answers[package.file].get("error")))
    }
    assert not differences


def test_the_lines_of_text_say_the_same(places: dict[int, Package]) -> None:
    arch = Arch.parse("x86_64")
    graph = Graph(read(unpacked(TODAY), arch="x86_64"), arch=arch.apk)
    answers = stored()
    found = {
        line["file"]: (line["needs"], line["installs"])
        for line in map(json.loads, lines(graph, graph.order(), Kind.JSON, arch))
    }
    differences = {
        file: (found[file], wanted)
        for file, answer in answers.items()
        if found[file] != (wanted := (_definitions(answer["needs"]), answer["install"]))
    }
    assert not differences


def _definitions(needs: dict[str, list[str] | None]) -> dict[str, str | None]:
    return {text: None if taken is None else taken[2] for text, taken in needs.items()}


def test_giving_up_names_a_need_and_what_there_is_of_it(
    today: Distribution, places: dict[int, Package]
) -> None:
    constraints: Counter[str] = Counter()
    for place in places:
        found = today.environments.install(place)
        if isinstance(found, GaveUp):
            constraints[found.constraint] += 1
            assert found.there
            assert f'"{found.constraint}"' in found.message
    assert constraints.total() == 273
    assert constraints["omnibump=0.23.2"] > 200
    assert constraints["nettle-dev~3"] > 3


def test_most_environments_are_plain_so_that_few_take_long(
    today: Distribution, places: dict[int, Package]
) -> None:
    plain = sum(map(today.environments.is_plain, places))
    assert plain > 2900
