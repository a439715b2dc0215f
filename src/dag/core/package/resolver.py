"""apko's resolver over one set of packages: everything about it that needs no environment."""

from __future__ import annotations

from collections.abc import Iterable

from dag.core.package.candidates import Candidate, Catalogue, Universe
from dag.core.package.exclusion import Exclusions
from dag.core.package.preference import Preferences


class Resolver:
    """What there is, what is preferred, and what excludes what.

    `dag.core.package.solver` finds with it what one environment installs, and
    `dag.core.package.environments` what many do.
    """

    def __init__(
        self,
        candidates: Iterable[Candidate],
        *,
        externals: bool = False,
        catalogue: Catalogue | None = None,
    ) -> None:
        """Take the packages in the order of their repositories; the rest is as for `Universe`."""
        self.universe = Universe(candidates, externals=externals, catalogue=catalogue)
        self.preferences = Preferences(self.universe)
        self.exclusions = Exclusions(self.universe)
        self.candidates = self.universe.candidates
