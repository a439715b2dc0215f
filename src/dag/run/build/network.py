"""What the network had to do with the failure of a unit on this machine.

A build that needs the network fails like one whose definition is wrong: only whoever asks the same
servers can tell. A log decides nothing here; it only keeps servers from being asked for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dag.core.build.failure import FailureWords
from dag.core.package.model import Checkout, Fetch, Package
from dag.core.package.repositories import Repositories, unasked_words
from dag.core.web import redact
from dag.io.connections import no_connection
from dag.report.words import some

_FETCHING = ("fetch", "git-checkout")
"""The pipelines of melange that fetch sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFaults:
    """The servers that the units of a run need."""

    repositories: Repositories = field(default_factory=Repositories)
    external: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names that neither the directory nor a repository has that answered → who needs them."""
    has_network: bool = True
    """Whether the steps of a build have one."""
    proxies: Mapping[str, str] | None = None
    """The variables that name their proxies; if it is None, those of the environment do."""

    def find(self, package: Package, failure: FailureWords) -> str | None:
        """Return in words what of the network made a unit fail; None if that was not the reason."""
        if failure.step is None:
            return self._lacks_repository(package)
        if failure.step in _FETCHING and self.has_network:
            return next(self._unreachable_sources(package), None)
        return None

    def _lacks_repository(self, package: Package) -> str | None:
        unasked = self.repositories.unasked.get(package.name, ())
        lost = [place for place in unasked if place in self.repositories.unreachable]
        names = [name for name, users in self.external.items() if package.name in users]
        if not lost or not names:
            return None
        return f"{unasked_words(lost)}, and nothing else has {some(names)}"

    def _unreachable_sources(self, package: Package) -> Iterator[str]:
        for step in package.sources:
            match step:
                case Fetch(uri=url) | Checkout(repository=url):
                    if step.runs and (why := no_connection(url, self.proxies)):
                        yield f"{step.file}:{step.line}: {redact(url)} cannot be fetched: {why}"
