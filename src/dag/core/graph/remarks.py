"""Remarks on the graph: what was taken of several, and what apko cannot install."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dag.core.graph.graph import Graph
from dag.core.package.candidates import Candidate
from dag.core.package.outcome import GaveUp
from dag.core.package.repositories import trust_of
from dag.core.package.supply import Supply


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenChoice:
    """What is taken for a need that several packages satisfy."""

    text: str
    """The need, as written."""
    chosen: str
    others: tuple[str, ...]
    why: str
    """Why the chosen one goes before the next best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRefusal:
    """An environment that apko does not make."""

    package: str
    """The definition whose environment it is."""
    gave_up: GaveUp
    by: tuple[str, ...]
    """The packages that lead to the one that has the need; empty if the definition has it."""
    there: tuple[str, ...]
    """What there is of that name."""
    ruled_out: tuple[str, ...]
    """What of that cannot be installed, and why, in words."""


def find_choices(graph: Graph, inside: Collection[str]) -> list[TakenChoice]:
    """Return what is taken for each need in `inside` that several packages satisfy, and why."""
    candidates = graph.installs.candidates
    found: dict[tuple[str, str], TakenChoice] = {}
    for unit, package in enumerate(graph.packages):
        preferences = graph.installs.supply(unit).resolver.preferences
        for need in package.environment if package.name in inside else ():
            choice = None if need.text[:1] == "!" else preferences.explained(need.text)
            if choice is not None and choice.others:
                others = tuple(_release(candidates[number]) for number in choice.others)
                chosen, why = _release(candidates[choice.package]), choice.reason.value
                taken = TakenChoice(text=need.text, chosen=chosen, others=others, why=why)
                found.setdefault((need.text, chosen), taken)
    return [found[key] for key in sorted(found)]


def find_refusals(graph: Graph, inside: Collection[str]) -> list[EnvironmentRefusal]:
    """Return the environments of `inside` that apko does not make, and why.

    Those that want what there is not at all are left out: `Graph.missing` has that.
    """
    found = []
    for unit, package in enumerate(graph.packages):
        gave_up = graph.installs.refusal(unit) if package.name in inside else None
        if gave_up is not None and not graph.installs.lacks(unit):
            by = tuple(_release(graph.installs.candidates[number]) for number in gave_up.by)
            there = _offers(graph.installs.supply(unit), gave_up.constraint)
            ruled_out = tuple(
                f"{_release(graph.installs.candidates[one.package])} is ruled out because {one.why}"
                for one in gave_up.excluded
            )
            found.append(
                EnvironmentRefusal(
                    package=package.name, gave_up=gave_up, by=by, there=there, ruled_out=ruled_out
                )
            )
    return found


def find_places(graph: Graph, missing: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Return for each missing name who needs it, with the place that says so: `app (app.yaml:4)`."""
    users = {user for each in missing.values() for user in each}
    places = {
        (user, edge.origin): edge.where
        for user in users
        for edge in graph.needs(user)
        if not edge.is_ours
    }
    return {
        name: [f"{user} ({places[user, name]})" for user in each] for name, each in missing.items()
    }


def find_unasked(graph: Graph, missing: Mapping[str, Collection[str]]) -> set[str]:
    """Return the missing names of which each environment that has them names repositories to ask."""
    users = {user for each in missing.values() for user in each}
    asking = {
        one.name for one in graph.packages if one.name in users and trust_of(one).repositories
    }
    return {name for name, each in missing.items() if asking.issuperset(each)}


def names_repositories(graph: Graph) -> bool:
    """Return whether a definition or the Makefile names a repository besides the directory's own."""
    return any(one.repositories and trust_of(one).repositories for one in graph.packages)


def find_offers(graph: Graph, text: str) -> tuple[str, ...]:
    """Return what there is of the name in a need, whether or not it satisfies the need."""
    return _offers(graph.installs.common, text)


def _offers(supply: Supply, text: str) -> tuple[str, ...]:
    universe = supply.resolver.universe
    name = universe.constraint(text).name
    return tuple(
        _offer(universe.candidates[one.package], name, one.version)
        for one in universe.offered(text)
        if not supply.is_external(one.package)
    )


def _release(one: Candidate) -> str:
    """Return a package with its version: `asm-3.0.1-r0`."""
    return f"{one.name}-{one.version}"


def _offer(one: Candidate, name: str, version: str) -> str:
    """Return a package that has or provides a name, with that version: `a-1-r0 (asm=3)`."""
    if one.name == name:
        return _release(one)
    return f"{_release(one)} ({name}={version})" if version else f"{_release(one)} ({name})"
