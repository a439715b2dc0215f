"""Serves each build just the packages of repositories that it installs.

A build finds them in directories beside its workspace, one for each repository that its environment
names, and a `melange` of ours that leads to these stands before the real one in PATH. Where that
cannot be, the unit is *open*: melange asks the repositories itself, and may get what nobody chose.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from dag.core.arch import Arch
from dag.core.build.scripts import melange_of
from dag.core.build.served import ServedPackages
from dag.core.package.apk import BrokenPackage, archive_of
from dag.core.package.apkindex import INDEX_FILE, IndexEntry
from dag.core.package.model import Package
from dag.core.package.repositories import Repositories, hosts_of, read_line, trust_of, unasked_words
from dag.core.package.rewriting import Unchangeable, replace_named
from dag.core.shell import script_text
from dag.io import durable
from dag.io.package.packagecache import PackageCache
from dag.io.package.patience import ServerPatience
from dag.io.package.prover import open_inside
from dag.report.words import some
from dag.run.aside import at_once

if TYPE_CHECKING:
    from dag.core.build.plan import BuildPlan

FOLDER = "inputs"
"""The directory beside the workspace of a unit."""
_PATIENCE = 6 * 3600.0
"""Seconds for which a server is asked for a package."""
_OPEN, _UNPACKED = "open", "unpacked"
_MOST_ASKED = 1 << 16
"""Bytes that are read of what a build says it asked."""


_index = lru_cache(maxsize=64)(archive_of)
"""The index of some packages by their stanzas: many units have the same ones of a repository."""


def bypass_of(make_vars: Iterable[str]) -> str:
    """Return why no unit can be served, given the assignments for make; empty if that is not so."""
    return "--make-var names another melange" if melange_of(make_vars, "") else ""


def expected_open(plan: BuildPlan, repositories: Repositories, bypass: str) -> dict[str, str]:
    """Return the packages of a plan whose units will be open, as far as it is known, and why."""
    lacking: dict[str, list[str]] = {}
    for missing, users in plan.external.items():
        for user in users:
            lacking.setdefault(user, []).append(missing)
    found = {}
    for name in (step.package.name for step in plan.steps):
        untrusted = repositories.untrusted.get(name, "")
        if why := untrusted or (bypass if repositories.of(name).entries else ""):
            found[name] = why
        elif name in lacking:
            unasked = repositories.unasked.get(name)
            nowhere = f"nothing known has {some(lacking[name])}"
            found[name] = unasked_words(unasked) if unasked else nowhere
    return dict(sorted(found.items()))


@dataclass(frozen=True, kw_only=True)
class PackageServer:
    """What the units of a run have in common."""

    repositories: Repositories
    named: Mapping[str, str]
    """A repository that the user names, as melange gets it → as it was asked."""
    arch: Arch
    melange: str
    public_key: str
    """The name, in a workspace, of the key that signs what is built."""
    bypass: str = ""
    """Why no unit is served, in words; empty if they are."""
    place: Path | None = None
    """Where packages are kept; without it that is the user's cache."""

    @cached_property
    def cache(self) -> PackageCache:
        """The packages that were fetched before."""
        places = [*self.named.values(), *self.repositories.roots.values()]
        fetcher = None
        if any("://" in place for place in places):
            from dag.io.package.reach import Fetcher, Reach  # HTTP takes long to import

            fetcher = Fetcher(
                Reach(hosts_of(self.named.values())), ServerPatience(in_all=_PATIENCE)
            )
        return PackageCache(self.arch.apk, fetcher, self.place)

    def lay_out(self, package: Package, served: ServedPackages, place: Path) -> ServedPackages:
        """Make what the build of a package gets, beside its workspace in `place`.

        Its definition is changed so that it names the directories in the place of repositories.
        Returns what was chosen for it with the hashes of the files, or why it is open.

        Raises:
            WrongPackage: a repository has something else than its index says.
            InfrastructureError: a package cannot be fetched.
            OSError: the disk is full, or cannot be written for another reason.

        """
        folder = place / FOLDER
        (folder / "bin").mkdir(parents=True)
        (folder / "real").symlink_to(self.melange)
        served = self.judge(package, served)
        if not served.open:
            try:
                self._change(package, place / "workspace" / package.file)
            except Unchangeable as error:
                served = replace(served, open=f"{package.file} names repositories, and {error}")
        if served.open:
            (folder / "bin" / "melange").symlink_to(self.melange)
            return served
        served = self._serve(package, served, folder)
        wrapper = folder / "bin" / "melange"
        wrapper.write_text(script_text("dag.core.build", "melange"), encoding="utf-8")
        wrapper.chmod(0o755)
        return served

    def path(self, place: Path) -> str:
        """Return the directory that comes first in a unit's PATH."""
        return os.fspath(place / FOLDER / "bin")

    def take_back(self, package: Package, served: ServedPackages, place: Path) -> str:
        """Keep what a build that has ended has unpacked of what it got, for others.

        Returns why it was open, in words; empty if it was served.
        """
        folder = place / FOLDER
        if served.open:
            return served.open
        if (folder / _UNPACKED).is_dir():
            by_directory = self._by_directory(package, served, folder)
            self.cache.keep_unpacked(folder / _UNPACKED, by_directory)
        return self.seen_open(package, place)

    def seen_open(self, package: Package, place: Path) -> str:
        """Return why a build that could be served was open, in words; empty if it was not."""
        try:
            with open_inside(place, PurePath(FOLDER, _OPEN)) as file:
                asked = os.read(file, _MOST_ASKED).decode(errors="replace").split()
            return f"the Makefile has melange ask {', '.join(sorted(set(asked))[:3])}"
        except BrokenPackage as error:
            return f"the build changed what it was given: {error}"
        except FileNotFoundError:
            pass
        if self._places(package) and not (place / FOLDER / "used").exists():
            return "the Makefile does not call the melange in PATH or $(MELANGE)"
        return ""

    def judge(self, package: Package, served: ServedPackages) -> ServedPackages:
        """Return what was chosen, with the reason why it cannot be served."""
        if not self._places(package):
            return ServedPackages()
        if self.bypass:
            return replace(served, open=self.bypass)
        if why := self.repositories.untrusted.get(package.name):
            return replace(served, open=why)  # melange will refuse it
        unasked = self.repositories.unasked.get(package.name)
        if served.open and unasked:
            return replace(served, open=unasked_words(unasked))
        return served

    def _places(self, package: Package) -> dict[str, str]:
        """Return each repository of an environment, as melange gets it → as entries name it."""
        roots = self.repositories.roots
        places = {text: roots.get(asked, "") for text, asked in self.named.items()}
        for one in trust_of(package).repositories:
            places.setdefault(one.text, roots.get(one.text, ""))
        return places

    def _stand_in(self, package: Package, text: str) -> str:
        """Return what stands in for a repository, as the environment names it."""
        line = read_line(text, "")
        numbers = {place: number for number, place in enumerate(self._places(package))}
        if line is None or line.text not in numbers:
            return text
        stand_in = f"../{FOLDER}/{numbers[line.text]}"
        return f"@{line.pin} {stand_in}" if line.pin else stand_in

    def _change(self, package: Package, definition: Path) -> None:
        own = [one for one in package.repositories if one.file == package.file]
        keys = [one for one in package.keyring if one.file == package.file]
        if not (own or keys):
            return

        def stand_in(text: str) -> str:
            return self._stand_in(package, text)

        def key(text: str) -> str:
            return self.public_key if "://" in text else text

        changed = replace_named(definition.read_bytes(), own, keys, stand_in, key)
        definition.write_bytes(changed)

    def _by_directory(
        self, package: Package, served: ServedPackages, folder: Path
    ) -> dict[Path, list[IndexEntry]]:
        """Return the packages by the directories that stand in for their repositories."""
        left = list(served.packages)
        found: dict[Path, list[IndexEntry]] = {}
        for number, root in enumerate(self._places(package).values()):
            found[folder / str(number)] = [one for one in left if one.repository == root]
            left = [one for one in left if one.repository != root]
        return found

    def _serve(self, package: Package, served: ServedPackages, folder: Path) -> ServedPackages:
        by_checksum = {entry.checksum: entry for entry in served.packages}
        at_hand = {checksum: self.cache.at_hand(entry) for checksum, entry in by_checksum.items()}
        files = {checksum: path for checksum, path in at_hand.items() if path is not None}
        rest = [checksum for checksum in by_checksum if checksum not in files]
        files |= at_once(lambda checksum: self.cache.bring(by_checksum[checksum]), rest)
        lines: list[str] = []
        places = self._places(package)
        by_directory = self._by_directory(package, served, folder)
        for text, (stand_in, entries) in zip(places, by_directory.items(), strict=True):
            directory = os.fspath(stand_in / self.arch.apk)  # Path is slow, and these are many
            os.makedirs(directory)  # noqa: PTH103
            for entry in entries:
                file = f"{directory}/{entry.name}-{entry.version}.apk"
                durable.link(files[entry.checksum], file)
            Path(directory, INDEX_FILE).write_bytes(_index(tuple(one.stanza for one in entries)))
            if text.isprintable():
                lines.append(f"{text}\t../{FOLDER}/{stand_in.name}\n")
        (folder / "places").write_text("".join(lines), encoding="utf-8")
        self.cache.lead_to_unpacked(folder / _UNPACKED, by_directory)
        sums = {entry.name: self.cache.sha256(files[entry.checksum]) for entry in served.packages}
        return replace(served, sha256=sums)
