"""What melange has apko install for an environment.

apko sorts the needs, solves them, writes down every package with its version, and solves that list
again (pkg/build/apk.go, pkg/build/lock.go of apko 1.2.21; buildGuest of melange). Mostly the list is
its own solution.
"""

from __future__ import annotations

from collections.abc import Sequence

from dag.core.package.outcome import GaveUp, Installed
from dag.core.package.resolver import Resolver
from dag.core.package.solver import install


def install_environment(resolver: Resolver, needs: Sequence[str]) -> Installed | GaveUp:
    """Find what an environment installs, or where apko gives up.

    Where it gives up in the order of the definition, too, that is told: it names what the
    definition has first.
    """
    world = sorted({*needs})
    first = install(resolver, world)
    if isinstance(first, GaveUp):
        as_written = install(resolver, needs) if world != [*needs] else first
        return as_written if isinstance(as_written, GaveUp) else first
    if lost := _lost(resolver, world, first):
        return lost
    second = install(resolver, _locked(resolver, world, first))
    if isinstance(second, GaveUp):
        return second
    causes = {number: first.causes.get(number, cause) for number, cause in second.causes.items()}
    return Installed(packages=second.packages, causes=causes)


def _lost(resolver: Resolver, world: Sequence[str], found: Installed) -> GaveUp | None:
    """Return that apko gives up if a need lost its package to another one of the same name."""
    universe, candidates = resolver.universe, resolver.candidates
    given = {candidates[number].name for number in found.packages}
    for number in found.packages:
        given.update(universe.constraint(text).name for text in candidates[number].provides)
    for text in world:
        name = universe.constraint(text).name
        if name not in given and text[:1] != "!":
            what = f"unable to lock packages to a consistent version: {name} is not installed"
            there = tuple(universe.offered(text))
            return GaveUp(constraint=text, by=(), excluded=(), there=there, message=what)
    return None


def _locked(resolver: Resolver, world: Sequence[str], found: Installed) -> list[str]:
    """Return what was found as needs: the very versions, under the tags that were asked for."""
    parsed = map(resolver.universe.constraint, world)
    tags = {one.name: f"@{one.pin}" for one in parsed if one.pin}
    named = [resolver.candidates[number] for number in found.packages]
    return sorted(f"{one.name}={one.version}{tags.get(one.name, '')}" for one in named)
