from __future__ import annotations

from dag.core.package.candidates import Candidate
from dag.core.package.environments import Environments
from dag.core.package.model import Need, Package, Subpackage
from dag.core.package.supply import Supply


def definition(name: str, *needs: str, subpackages: tuple[Subpackage, ...] = ()) -> Package:
    return Package(
        name=name,
        version="1.0",
        epoch=2,
        file=f"{name}.yaml",
        line=2,
        subpackages=subpackages,
        environment=tuple(Need(need, f"{name}.yaml", 5, "environment") for need in needs),
    )


LIB = definition(
    "lib",
    subpackages=(
        Subpackage("lib-dev", "lib.yaml", 9, runtime=("zstuff>=1",), provides=("pc:lib=1.0",)),
    ),
)


def test_a_definition_makes_its_packages_in_its_version() -> None:
    supply = Supply([LIB])
    assert supply.resolver.candidates == [
        Candidate("lib", "1.0-r2", "lib"),
        Candidate("lib-dev", "1.0-r2", "lib", ("zstuff>=1",), ("pc:lib=1.0",)),
    ]
    assert dict(supply.made()) == {0: 0, 1: 0}
    assert supply.packages[0] is LIB


def test_needs_and_provided_names_are_as_melange_lists_them() -> None:
    one = Subpackage(
        "x",
        "lib.yaml",
        9,
        runtime=("z", "so-ver:y>=2", "b ", "a", "z", "virt", "other>1", "!c"),
        provides=("virt=2", "other=1", "virt=1", " cmd:x", "virt=2"),
    )
    assert Supply([definition("lib", subpackages=(one,))]).resolver.candidates[1] == Candidate(
        "x",
        "1.0-r2",
        "lib",
        ("!c", "a", "b", "other>1", "so-ver:y", "z"),
        ("cmd:x", "other=1", "virt=1", "virt=2"),
    )


def test_what_neither_definitions_nor_repositories_have_is_external() -> None:
    supply = Supply([LIB, definition("app", "pc:lib", "busybox>1")], [Candidate("make", "4-r0")])
    owners = dict(supply.made())
    environments = Environments(supply.resolver, [supply.needs(supply.packages[owners[2]])])
    found = environments.install(0)
    assert isinstance(found, frozenset)
    names = {supply.resolver.candidates[number].name: number for number in found}
    assert names.keys() == {"lib-dev", "zstuff", "busybox"}
    assert {name: supply.is_external(number) for name, number in names.items()} == {
        "lib-dev": False,
        "zstuff": True,
        "busybox": True,
    }
    assert names["zstuff"] not in owners
    make = supply.resolver.preferences.choice("make")
    assert make is not None
    assert not supply.is_external(make)
    assert make not in owners
    assert supply.owners([*found, make]) == {0}


def test_a_conflict_with_something_unknown_is_no_need() -> None:
    app = definition("app", "lib", "!nothing", "!pc:lib")
    assert Supply([LIB, app]).needs(app) == ["lib", "!pc:lib"]


def test_a_negative_priority_counts_as_none() -> None:
    odd = Subpackage("odd", "lib.yaml", 9, provider_priority=-5)
    assert Supply([definition("lib", subpackages=(odd,))]).resolver.candidates[1].priority == 0
