"""The packages of repositories that a build takes."""

from __future__ import annotations

from random import Random

import pytest

from dag.core.build.served import ServedPackages, choose_served
from dag.core.package.apkindex import IndexEntry, PackageRepository
from dag.core.package.candidates import Candidate
from dag.core.package.outcome import Installed
from dag.core.package.resolver import Resolver
from dag.core.package.solver import install
from tests.support.repositories import Chance

SUM = "Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA="


def entry(
    name: str, version: str = "1-r0", *depends: str, provides: tuple[str, ...] = ()
) -> IndexEntry:
    return IndexEntry(
        name, version, name, depends, provides, checksum=SUM, repository="https://r.x"
    )


def taken(inputs: ServedPackages) -> list[str]:
    assert not inputs.open
    return [f"{one.name}-{one.version}" for one in inputs.packages]


def test_what_is_given_goes_first_and_brings_its_needs() -> None:
    repository = PackageRepository(
        [
            entry("lib"),
            entry("lib", "2-r0"),
            entry("libc"),
            entry("tool", "1-r0", "lib"),
            entry("other"),
        ]
    )
    ours = [entry("lib", "2-r0", "so:libc.so.6"), entry("new", "1-r0", "cmd:x")]
    more = PackageRepository(
        [
            *repository.entries,
            entry("x", provides=("cmd:x=1",)),
            entry("c", provides=("so:libc.so.6",)),
        ]
    )
    assert taken(choose_served(["tool"], [], repository)) == ["lib-2-r0", "tool-1-r0"]
    assert taken(choose_served(["tool", "lib"], ours, more)) == ["c-1-r0", "tool-1-r0"]
    assert taken(choose_served(["new"], ours, more)) == ["x-1-r0"]
    assert taken(choose_served([], ours, more)) == []


def test_a_build_whose_environment_is_not_known_is_open() -> None:
    found = choose_served(["nothing"], [], PackageRepository([entry("a")]))
    assert 'nothing provides "nothing"' in found.open
    bare = IndexEntry("a", "1-r0", "a", (), (), repository="https://r.x")
    found = choose_served(["a"], [], PackageRepository([bare]))
    assert found.open == "https://r.x has no checksum of a"


@pytest.mark.parametrize("seed", range(300))
def test_what_does_not_matter_is_left_out_and_nothing_else(seed: int) -> None:
    candidates, environments = Chance(Random(seed)).case()

    def listed(one: Candidate) -> IndexEntry:
        return IndexEntry(
            one.name, one.version, one.origin, one.depends, one.provides, one.priority,
            one.install_if, SUM, one.repository, pin=one.pin,
        )  # fmt: skip

    entries = [listed(one) for one in candidates]
    for needs in environments:
        whole = install(Resolver(candidates), sorted(set(needs)))
        found = choose_served(needs, [], PackageRepository(entries))
        if isinstance(whole, Installed):
            expected = sorted((candidates[n].name, candidates[n].version) for n in whole.packages)
            assert sorted((one.name, one.version) for one in found.packages) == expected
        else:
            assert found.open
