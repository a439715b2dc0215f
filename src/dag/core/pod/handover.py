"""Follows how packages come from a Pod to the directory of `--out`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dag.core.kube.objects import KubeView
from dag.core.pod.ending import NEVER_BUILT, TAKEN_AWAY, Ending
from dag.core.pod.events import DropFetch, FetchPackages, PackagesFetched
from dag.core.pod.manifest import BUILD, OUT
from dag.core.pod.status import containers, has_ended, is_running, is_waiting
from dag.errors import DagError, InfrastructureError


class PackageHandover:
    """The way of the packages: whether they are wanted, on their way, or here."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self.is_begun = False
        self.fetched: PackagesFetched | None = None
        self._is_dropped = False

    @property
    def is_under_way(self) -> bool:
        """Whether packages are being fetched now."""
        return self.is_begun and self.fetched is None and not self._is_dropped

    def begin(self, pod: KubeView) -> Iterator[FetchPackages]:
        """Yield the action as soon as the build has ended; an upload may go on meanwhile."""
        found = containers(pod)
        ready = has_ended(found.get(BUILD, {})) and is_running(found.get(OUT, {}))
        if self._wanted and ready and not self.is_begun:
            self.is_begun = True
            yield FetchPackages()

    def take(self, event: PackagesFetched) -> None:
        """Take note of what the fetching came to."""
        if self.is_under_way:
            self.fetched = event

    def drop(self) -> Iterator[DropFetch]:
        """Yield the action that stops the fetching, if it is under way."""
        if self.is_under_way:
            self._is_dropped = True
            yield DropFetch()

    def is_coming(self, pod: KubeView, ending: Ending, unstarted: Mapping[str, str]) -> bool:
        """Return whether the container that serves the packages is still to start.

        It starts last, so a build may end before it.
        """
        if OUT in unstarted or ending.cause in TAKEN_AWAY | NEVER_BUILT:
            return False
        return is_waiting(containers(pod).get(OUT, {}))

    def is_awaited(self, ending: Ending) -> bool:
        """Return whether the result waits for packages that are on their way."""
        return self.is_under_way and ending.cause not in TAKEN_AWAY

    def error(self, ending: Ending, unstarted: Mapping[str, str]) -> DagError | None:
        """Return why the packages are not here, or None if they are or nobody wants them."""
        if not self._wanted or ending.cause in NEVER_BUILT:
            return None
        if self.fetched is not None:
            return self.fetched.error
        why = unstarted.get(OUT, "their pod has ended")
        return InfrastructureError(f"the packages cannot be brought back: {why}")
