"""What one environment installs; the cases are those of FAULTS.md, G1 to G5."""

from __future__ import annotations

import pytest

from dag.core.package.candidates import Candidate
from dag.core.package.outcome import GaveUp, InstallCause, Installed
from dag.core.package.resolver import Resolver
from dag.core.package.solver import install
from tests.core.package.test_preference import (
    BOOTSTRAP_CHAIN,
    PROVIDER_ORDER,
    UNSATISFIABLE,
    VERSIONED_PROVIDERS,
)

RUNTIME_CLOSURE = [
    Candidate("lib", "1-r0", "lib"),
    Candidate("lib-dev", "1-r0", "lib", depends=("zstuff",)),
    Candidate("zstuff", "1-r0", "zstuff"),
]
SCA_CMD = [
    Candidate("scripts", "1-r0", depends=("cmd:ztool",)),
    Candidate("ztool", "1-r0", provides=("cmd:ztool=1-r0",)),
]


def installs(candidates: list[Candidate], *needs: str) -> list[str]:
    found = install(Resolver(candidates), needs)
    assert isinstance(found, Installed), found
    return [candidates[number].name for number in found.packages]


def gives_up(candidates: list[Candidate], *needs: str) -> GaveUp:
    found = install(Resolver(candidates), needs)
    assert isinstance(found, GaveUp), found
    return found


@pytest.mark.parametrize(
    ("candidates", "needs", "names"),
    [
        (VERSIONED_PROVIDERS, ["rt<2"], ["rt-1"]),
        (BOOTSTRAP_CHAIN, ["comp~2"], ["comp-2"]),
        (PROVIDER_ORDER, ["x", "y", "named"], ["pa", "qc", "other"]),
        (RUNTIME_CLOSURE, ["lib-dev"], ["zstuff", "lib-dev"]),
        (SCA_CMD, ["scripts"], ["ztool", "scripts"]),
    ],
)
def test_an_environment_installs_what_apko_installs(
    candidates: list[Candidate], needs: list[str], names: list[str]
) -> None:
    assert installs(candidates, *needs) == names


def test_giving_up_names_the_constraint_and_what_there_is() -> None:
    found = gives_up(UNSATISFIABLE, "asm<3")
    assert found.constraint == "asm<3"
    assert found.by == ()
    assert [(one.package, one.version) for one in found.there] == [(0, "3.0.1-r0")]
    assert [one.why for one in found.excluded] == ['"3.0.1-r0" does not satisfy "asm<3"']
    assert found.message == (
        'solving "asm<3" constraint:   asm-3.0.1-r0.apk disqualified because "3.0.1-r0" does not'
        ' satisfy "asm<3"'
    )


def test_giving_up_further_down_names_the_way_there() -> None:
    candidates = [
        Candidate("app", "1-r0", depends=("lib",)),
        Candidate("lib", "2-r0", depends=("asm<3",)),
        *UNSATISFIABLE,
    ]
    found = gives_up(candidates, "app")
    assert found.constraint == "asm<3"
    assert found.by == (0, 1)
    assert found.message == (
        'solving "app" constraint: resolving "app-1-r0.apk" deps:\n'
        'solving "lib" constraint: resolving "lib-2-r0.apk" deps:\n'
        'solving "asm<3" constraint:   asm-3.0.1-r0.apk disqualified because "3.0.1-r0" does not'
        ' satisfy "asm<3"'
    )


def test_every_package_has_the_need_it_was_taken_for() -> None:
    found = install(Resolver(RUNTIME_CLOSURE), ["lib-dev"])
    assert isinstance(found, Installed)
    assert found.causes == {1: InstallCause("lib-dev", None), 2: InstallCause("zstuff", 1)}


def test_what_is_needed_comes_first_and_a_circle_ends() -> None:
    circle = [
        Candidate("a", "1-r0", depends=("b", "d")),
        Candidate("b", "1-r0", depends=("c",)),
        Candidate("c", "1-r0", depends=("a",)),
        Candidate("d", "1-r0"),
    ]
    assert installs(circle, "a") == ["c", "b", "d", "a"]
    assert installs(circle, "c") == ["b", "d", "a", "c"]


def test_a_package_that_needs_what_it_is_or_provides_needs_nothing_for_it() -> None:
    itself = Candidate("a", "1-r0", depends=("a>=1", "v>9", "a<1"), provides=("v=1",))
    assert "a<1" in gives_up([itself], "a").message
    assert installs([itself._replace(depends=("a>=1", "a=1-r0"))], "a") == ["a"]


def test_what_is_installed_already_is_taken_though_another_is_preferred() -> None:
    candidates = [
        Candidate("old", "1-r0", provides=("v",)),
        Candidate("new", "2-r0", provides=("v",)),
        Candidate("app", "1-r0", depends=("v",)),
    ]
    assert installs(candidates, "app") == ["new", "app"]
    assert installs(candidates, "old", "app") == ["old", "app"]


def test_of_the_same_origin_and_version_is_next_best() -> None:
    candidates = [
        Candidate("old", "1-r0", "origin", provides=("v",)),
        Candidate("new", "2-r0", "other", provides=("v",)),
        Candidate("app", "1-r0", depends=("v",)),
        Candidate("tool", "1-r0", "origin"),
    ]
    assert installs(candidates, "tool", "app") == ["tool", "old", "app"]
    candidates[3] = candidates[3]._replace(version="9-r0")
    assert installs(candidates, "tool", "app") == ["tool", "new", "app"]


def test_two_that_provide_one_name_cannot_be_installed_together() -> None:
    candidates = [
        Candidate("one", "1-r0", provides=("v=1",)),
        Candidate("two", "1-r0", provides=("v=2",)),
    ]
    assert gives_up(candidates, "one", "two").message == (
        'solving "two" constraint:   two-1-r0.apk disqualified because one-1-r0.apk already'
        " provides v"
    )
    unversioned = [one._replace(provides=("v",)) for one in candidates]
    assert installs(unversioned, "one", "two") == ["one", "two"]


def test_a_conflict_of_a_package_rules_the_other_out() -> None:
    candidates = [
        Candidate("app", "1-r0", depends=("!bad", "v")),
        Candidate("bad", "9-r0", provides=("v",)),
        Candidate("good", "1-r0", provides=("v",)),
    ]
    assert installs(candidates, "app") == ["good", "app"]
    assert "excluded by !bad" in gives_up(candidates, "app", "bad").message


def test_apko_takes_no_conflict_from_an_environment() -> None:
    found = gives_up([Candidate("a", "1-r0"), Candidate("b", "1-r0")], "a", "!b")
    assert found.message == 'solving "!b" constraint: nothing provides "!b"'


def test_a_constraint_narrows_the_choice_for_needs_without_one() -> None:
    assert installs(VERSIONED_PROVIDERS, "rt", "rt<2") == ["rt-1"]


def test_apko_does_not_take_a_choice_back() -> None:
    candidates = [
        Candidate("app", "1-r0", depends=("a", "b")),
        Candidate("a", "1-r0", depends=("v",)),
        Candidate("b", "1-r0", depends=("v<2",)),
        *[Candidate(f"v-{n}", f"{n}-r0", provides=(f"v={n}",)) for n in (1, 2)],
    ]
    assert gives_up(candidates, "app").constraint == "v<2"
    assert installs(candidates, "b", "a") == ["v-1", "b", "a"]


def test_a_bad_version_in_a_constraint_is_said() -> None:
    found = gives_up([Candidate("a", "1-r0")], "a>bad")
    assert found.constraint == "a>bad"
    assert found.message == (
        'constraining initial packages: parsing constraint "a>bad": invalid version bad, could not'
        " parse"
    )


def test_install_if_adds_a_package_when_all_its_conditions_are_met() -> None:
    candidates = [
        Candidate("app", "1-r0", depends=("lib", "tool")),
        Candidate("lib", "1-r0"),
        Candidate("tool", "2-r0"),
        Candidate("both", "1-r0", install_if=("lib", "tool=2-r0")),
        Candidate("other", "1-r0", install_if=("lib", "tool=3-r0")),
    ]
    assert installs(candidates, "app") == ["lib", "tool", "both", "app"]


def test_a_chain_of_any_length_is_followed() -> None:
    length = 5000
    chain = [
        Candidate(f"p{number}", "1-r0", f"o{number}", depends=(f"p{number + 1}",))
        for number in range(length)
    ]
    assert len(installs([*chain, Candidate(f"p{length}", "1-r0")], "p0")) == length + 1


@pytest.mark.long
def test_an_environment_of_many_needs_is_solved_in_time() -> None:
    size = 20_000
    several = [Candidate(f"p{number}", "1-r0", depends=("base",)) for number in range(size)]
    several += [Candidate("base", "1-r0"), Candidate("v", "1-r0", provides=("p0=1",))]
    found = installs(several, *(f"p{number}" for number in range(size)))
    assert len(found) == size + 1


def test_what_would_take_forever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = tuple(f"p{number}" for number in range(500))
    several = [
        *(Candidate(name, "1-r0") for name in needed),
        Candidate("app", "1-r0", depends=needed),
    ]
    assert len(installs(several, "app")) == 501
    monkeypatch.setattr("dag.core.package.solver.MOST_STEPS", 100_000)
    found = gives_up(several, "app")
    assert "100,000 steps" in found.message
    assert found.constraint == "app"
