"""Asks the repositories that environments name, and finds what each environment can have of them.

`-r` is for all environments, and an error if it cannot be read. What definitions and the Makefile
name is for those that name it, and a warning: strangers wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dag.core.arch import Arch
from dag.core.package.apkindex import PackageRepository
from dag.core.package.model import Package, bare_name
from dag.core.package.repositories import trust_of
from dag.core.web import redact
from dag.report.words import some


@dataclass(frozen=True, kw_only=True)
class Repositories:
    """What there is in repositories."""

    common: PackageRepository = field(default_factory=PackageRepository)
    """For every environment: what `-r` names."""
    own: Mapping[str, PackageRepository] = field(default_factory=dict)
    """Package → what there is for its environment, if that is more than `common`."""
    unasked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Package → the repositories of its environment that are not used."""
    words: tuple[str, ...] = ()
    """What a person should be told, a line each."""

    @cached_property
    def checksums(self) -> dict[tuple[str, str, str], str]:
        """Return the checksums of all packages, by repository, name and version."""
        every = {id(one): one for one in (self.common, *self.own.values())}.values()
        return {
            (entry.repository, entry.name, entry.version): entry.checksum
            for one in every
            for entry in one.entries
        }

    @cached_property
    def _holders(self) -> dict[str, str]:
        """Return a repository for each name that one has which some environments ask."""
        found: dict[str, str] = {}
        for one in {id(one): one for one in self.own.values()}.values():
            for entry in one.entries:
                for name in (entry.name, *map(bare_name, entry.provides)):
                    found.setdefault(name, entry.repository)
        return found

    def holder(self, names: Iterable[str]) -> str | None:
        """Return a repository that some environments ask and that has one of `names`, as shown."""
        found = next((self._holders[name] for name in names if name in self._holders), None)
        return None if found is None else redact(found)

    def remarks(self, missing: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Return for missing names, which have their users, in words why and where they may be."""
        remarks = {}
        for name, users in missing.items():
            unasked = dict.fromkeys(one for user in users for one in self.unasked.get(user, ()))
            if unasked:
                remarks[name] = f"{some(list(unasked), 2)} could not be asked"
            elif holder := self.holder([bare_name(name)]):
                remarks[name] = f"{holder} has one: -r makes it known to all"
        return remarks


@dataclass(frozen=True, kw_only=True)
class Named:
    """The repositories and keys that the user names; paths are relative to where `dag` runs."""

    repositories: Sequence[str] = ()
    keys: Sequence[str] = ()


def ask_repositories(
    packages: Iterable[Package], directory: Path, arch: Arch, named: Named
) -> Repositories:
    """Ask all repositories that the environments of `packages` and the user name, each once.

    Raises:
        UsageError: one that the user names has no index, or a broken one.
        InfrastructureError: the server of such a one does not answer as it should.

    """
    trusts = {one.name: trust_of(one) for one in packages if one.builds_on(arch.apk)}
    if not (named.repositories or any(one.repositories or one.refused for one in trusts.values())):
        return Repositories()
    from dag.run.graph.asking import Asking  # HTTP takes longer to import than definitions to read

    return Asking(trusts, directory, arch, named).ask()
