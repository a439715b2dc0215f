"""Names that two definitions claim, and which of the two counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dag.core.package.constraints import is_version, rank
from dag.core.package.model import BrokenDefinition, Package
from dag.core.package.problems import FileProblem

_NAMED = 5
"""How many names that two definitions have are told."""


class NameClaim(NamedTuple):
    """A package that a definition makes: its own, or a subpackage."""

    place: int
    """The place of the definition in the directory's."""
    line: int
    is_own: bool


class Clash(NamedTuple):
    """A name of which two definitions make a package."""

    name: str
    counts: NameClaim
    """The one that apko would take: the higher version, of equal ones that of the later file."""
    other: NameClaim


def find_clashes(packages: Sequence[Package], arch: str | None) -> list[Clash]:
    """Return each name that is defined more than once, once for each definition that loses it.

    A definition that is for `arch` goes before one which melange does not build there.
    """
    names = {package.name for package in packages}
    names.update(one.name for package in packages for one in package.subpackages)
    if len(names) == sum(1 + len(package.subpackages) for package in packages):
        return []
    claims: dict[str, list[NameClaim]] = {}
    for place, package in enumerate(packages):
        claims.setdefault(package.name, []).append(NameClaim(place, package.line, is_own=True))
        for one in package.subpackages:
            claims.setdefault(one.name, []).append(NameClaim(place, one.line, is_own=False))

    def order(claim: NameClaim) -> tuple[object, ...]:
        package = packages[claim.place]
        return (_is_for(arch, package), rank(package.full_version), package.file)

    clashes: list[Clash] = []
    for name, several in claims.items():
        if len(several) > 1:
            *others, counts = sorted(several, key=order)
            clashes += [Clash(name, counts, other) for other in others]
    return clashes


class SettledNames(NamedTuple):
    """Definitions of which no two are of one package."""

    packages: tuple[Package, ...]
    passed_over: tuple[BrokenDefinition, ...]
    """The definitions of packages that another definition makes in a version that counts, but for
    those that are not for the architecture."""
    problems: tuple[FileProblem, ...]
    """One for each two definitions that have names in common, at the one that loses them."""


def settle_clashes(packages: Sequence[Package], arch: str | None) -> SettledNames:
    """Leave out definitions of a package that another one defines, and say which have which names.

    Nothing is wrong with a definition that is left out because it is not for `arch`.
    """
    clashes = find_clashes(packages, arch)
    left_out = {one.other.place for one in clashes if one.other.is_own and one.counts.is_own}
    wrong: dict[tuple[int, int], list[Clash]] = {}
    for one in clashes:
        if _is_for(arch, packages[one.other.place]):
            wrong.setdefault((one.other.place, one.counts.place), []).append(one)
    problems: list[FileProblem] = []
    passed_over: dict[int, FileProblem] = {}
    for (place, _), several in wrong.items():
        several.sort(key=lambda one: (not one.other.is_own, one.other.line, one.name))
        problems.append(_problem(packages, several))
        if several[0].other.is_own and several[0].counts.is_own:
            passed_over[place] = problems[-1]
    return SettledNames(
        tuple(one for place, one in enumerate(packages) if place not in left_out),
        tuple(
            BrokenDefinition(packages[place].file, tuple(sorted(packages[place].given)), (problem,))
            for place, problem in sorted(passed_over.items())
        ),
        tuple(problems),
    )


def _is_for(arch: str | None, package: Package) -> bool:
    return arch is None or package.builds_on(arch)


def _problem(packages: Sequence[Package], clashes: Sequence[Clash]) -> FileProblem:
    """Return the problem of two definitions that have the names of `clashes` in common."""
    clash = clashes[0]
    winner, loser = packages[clash.counts.place], packages[clash.other.place]
    why = f"its version {winner.full_version} is higher"
    if rank(winner.full_version) == rank(loser.full_version):
        why = "it is the later file"
    elif not is_version(loser.full_version):
        why = f"apko takes no version like {loser.full_version}"
    told, fix = f"the package {clash.name!r} is", "rename or remove one of the two"
    if len(clashes) > 1:
        names = ", ".join(repr(one.name) for one in clashes[:_NAMED])
        more = f" and {len(clashes) - _NAMED:,} more" if len(clashes) > _NAMED else ""
        told, fix = f"the packages {names}{more} are", "rename or remove them in one of the two"
    at = f"{winner.file}:{clash.counts.line}"
    what = f"{told} also defined in {at}, which counts because {why}"
    return FileProblem(loser.file, clash.other.line, what, fix)
