"""What builds the units of a plan, and what that knows before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dag.core.build.directoryfacts import DirectoryFacts
from dag.core.build.options import BuildOptions
from dag.core.build.states import RunLimits
from dag.io.package.melange import melange_version
from dag.run.build.machine import machine_resources
from dag.run.build.stores import store_name
from dag.run.build.tools import melange_here


@dataclass(frozen=True, slots=True)
class Builder:
    """What builds."""

    limits: RunLimits
    """What bounds the scheduler."""
    melange: str
    """The melange; empty if nobody knows which."""
    store: str
    """The store's name, as people know it."""
    facts: DirectoryFacts | None = None
    """What is known of the definitions; if nothing is, git and melange are asked here."""
    is_here: bool = False
    """Whether it is this machine, which has the cache of sources beside the definitions."""
    require: Callable[[], object] = lambda: None
    """Raises an error if it cannot build: called if there is something to build."""


def this_machine(options: BuildOptions) -> Builder:
    """Return what builds on this machine."""
    melange = melange_version(melange_here(options.make_vars))
    return Builder(options.limits(machine_resources()), melange, store_name(options), is_here=True)
