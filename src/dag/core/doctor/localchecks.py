"""Judges facts about this machine: fine for a build on it, doubtful, or wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence

from dag.core.doctor.checks import Finding, Status, ok
from dag.core.package.builtin import MELANGE
from dag.core.units import size_words

FULL = 64 << 20
"""Bytes; a disk with less room counts as full."""
LEFT_OUT = "`dag build` leaves them out, with what needs them: correct them"
"""What follows from definitions that the melange of this machine cannot compile, for a build on it."""


def melange(path: str, version: str) -> Finding:
    """Judge the melange at a path by its version, which is empty if it does not say one."""
    if not version:
        return Finding(
            Status.FAILED,
            f"{path} does not tell its version, so it may be no melange",
            "install melange from https://github.com/chainguard-dev/melange",
        )
    known = MELANGE.removeprefix("v")
    if version == known:
        return ok(f"{path} is version {version}")
    return ok(f"{path} is version {version}; dag knows the built-in pipelines of {known}")


def memory(limits: str) -> Finding:
    """Judge what limits the memory of units, by its name; `none` is nothing."""
    if limits != "none":
        return ok(f"units are limited by {limits}")
    return Finding(
        Status.WARNING,
        "memory is not limited, because dag may not write control groups here",
        "build as root, or in a session of systemd",
    )


def proxy(names: Sequence[str], useless: Sequence[str], kept: str, fix: str) -> Finding:
    """Judge the proxies of builds, of which `useless` tells the faults.

    `kept` tells which of them steps do not get, and `fix` what to do then.
    """
    if useless:
        other = "name another with --proxy or in its variable, or unset the variable"
        return Finding(Status.FAILED, "; ".join(useless), other)
    if kept:
        return Finding(Status.WARNING, kept, fix)
    return ok(f"{' and '.join(names)} serves this machine")


def units(too_large: str) -> Finding:
    """Judge what units ask for, of which `too_large` says that it is more than the machine has."""
    if not too_large:
        return ok("the machine has what each package asks for")
    fix = "ask for less with --cpu and --ram or in package.resources, or build on a larger machine"
    return Finding(Status.WARNING, too_large, fix)


def unwritable(store: str, place: str) -> Finding:
    """Judge a store whose directory, or the one in which that would be made, cannot be written to."""
    return Finding(
        Status.FAILED,
        f"{store} cannot be built into, because nothing can be written to {place}",
        "name another directory with --store, or make that one writable",
    )


def room(place: str, free: int | None, wanted: int) -> Finding:
    """Judge the room on the disk of a store, in bytes, by what a unit asks for."""
    if free is None:
        return Finding(Status.WARNING, f"the disk of {place} does not say how much it takes")
    message = f"the disk of {place} has room for {size_words(free)}"
    fix = "make room there, or name another place with --store"
    if free < FULL:
        return Finding(Status.FAILED, message, fix)
    if free < wanted:
        return Finding(Status.WARNING, f"{message}, and a unit asks for {size_words(wanted)}", fix)
    return ok(message)


def plan(words: str, obstacles: Sequence[str]) -> Finding:
    """Judge a plan, of which `words` say how much it is, by what it cannot build or knows not of."""
    if not obstacles:
        return ok(words)
    return Finding(
        Status.WARNING,
        "; ".join((words, *obstacles)),
        "correct the needs, or name with -r a repository that has them; `dag build --dry-run` says more",
    )


def repositories(number: int, words: Sequence[str]) -> Finding:
    """Judge the repositories that were asked, of which `words` say what is wrong."""
    if not words:
        return ok(f"{number} asked" if number else "none is asked")
    more = f"; and {len(words) - 3} more" if len(words) > 3 else ""
    return Finding(
        Status.WARNING,
        f"{'; '.join(words[:3])}{more}",
        "see to the network and to the keys, or name another repository with -r; what needs these"
        " would fail",
    )
