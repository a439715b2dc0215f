"""Checks that the bundle has the files without which what flags name is of no use on a node."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dag.core.arch import Arch
from dag.core.image.archive import parents
from dag.core.image.secrets import CREDENTIALS, PRIVATE_KEY
from dag.core.package.apkindex import repository_root
from dag.errors import UsageError
from dag.io.image.tree import DirectoryTree

_INDEX = "APKINDEX.tar.gz"


@dataclass(frozen=True, slots=True)
class BundledFiles:
    """The files of a bundle, and the reasons for those that are left out of it."""

    root: Path
    """The directory that the bundle is made of, without links in its path."""
    paths: frozenset[str]
    reasons: dict[str, str]
    """Path of what is left out with all below it → why."""

    @classmethod
    def of(cls, tree: DirectoryTree, directory: Path) -> BundledFiles:
        """Return what the tree of a directory has."""
        return cls(
            directory.resolve(),
            frozenset(entry.path for entry in tree.entries),
            {one.path.removesuffix("/"): one.reason for one in tree.left_out},
        )

    def require(self, file: Path, what: str, include: Path) -> None:
        """Refuse a file of the directory that is left out; `what` says who needs it.

        Raises:
            UsageError: it is left out; `include` would bring it along, if anything does.

        """
        missing = [one for one in self._places(file) if one not in self.paths]
        if not missing:
            return
        path = missing[0]
        above = (self.reasons[one] for one in (path, *parents(path)) if one in self.reasons)
        reason = next(above, "")
        pattern = os.fspath(include.resolve().relative_to(self.root))
        hint = f"bring it along with --include {pattern if pattern != '.' else path}"
        if reason in (PRIVATE_KEY, CREDENTIALS):
            hint = "no bundle takes it: name another file, or give it another name if it is none"
        raise UsageError(
            f"{path}, which {what} needs, is left out of the bundle{reason and f': {reason}'}",
            hint=hint,
        )

    def _places(self, file: Path) -> list[str]:
        """Return the path of a file, and, if it is a link within the directory, where that leads."""
        places = (file.parent.resolve() / file.name, file.resolve())
        inside = (one.relative_to(self.root) for one in places if one.is_relative_to(self.root))
        return list(dict.fromkeys(map(os.fspath, inside)))

    def require_repository(self, place: str, arches: Iterable[Arch]) -> None:
        """Refuse a repository inside of the directory whose files do not travel; a URL needs none.

        Raises:
            UsageError: its index or a package of it for one of `arches` is left out.

        """
        if "://" in place:
            return
        folder = Path(repository_root(place))
        for arch in arches:
            for file in _files(folder / arch.apk):
                self.require(file, f"-r {place}", folder)

    def require_keyring(self, place: str) -> None:
        """Refuse a keyring inside of the directory that does not travel; a URL does not need to.

        Raises:
            UsageError: it is left out.

        """
        if "://" not in place:
            self.require(Path(place), f"--keyring {place}", Path(place))

    def require_pipelines(self, place: str) -> None:
        """Refuse a directory of pipelines inside of the directory of which nothing travels.

        Raises:
            UsageError: all of them are left out.

        """
        files = sorted(Path(place).rglob("*.yaml"))
        if not any(self.paths.issuperset(self._places(one)) for one in files):
            for one in files:
                self.require(one, f"--pipeline-dir {place}", Path(place))


def _files(folder: Path) -> Iterator[Path]:
    """Yield what melange reads of a repository: its index first, then the packages."""
    index = folder / _INDEX
    if index.is_file():
        yield index
        yield from sorted(folder.glob("*.apk"))
