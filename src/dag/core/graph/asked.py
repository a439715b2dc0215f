"""Words on the command line → packages: a name, a definition's file, a target of make, a built file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dag.core.arch import ARCHITECTURES
from dag.core.package.model import Package

_ENDING = re.compile(r"\.ya?ml$|(-[^-]+-r[0-9]+)?\.apk$")


class PathNames:
    """The paths that stand for packages: `x.yaml`, `package/x`, `packages/ARCH/x-1.0-r0.apk`."""

    def __init__(self, packages: Sequence[Package], arch: str) -> None:
        """Take the packages, whose numbers are their places, and melange's name of the architecture."""
        self._arch = arch
        self._places: dict[str, int] = {}
        for number, package in enumerate(packages):
            self._places[package.file] = number
            for name in package.promised:
                self._places[f"{name}-{package.full_version}.apk"] = number
        for number, package in enumerate(packages):
            # The target of a definition's own name goes before that of another one's file.
            stem = package.file.removesuffix(".yaml")
            self._places.setdefault(f"package/{stem}", number)
        for number, package in enumerate(packages):
            self._places[f"package/{package.name}"] = number
            self._places[f"packages/{package.name}"] = number

    def find(self, word: str) -> int | None:
        """Return the number of the package that the path stands for, or None."""
        path = word.removeprefix("./")
        folder, _, base = path.rpartition("/")
        if base.endswith(".apk"):
            arch = folder.rpartition("/")[2]
            if arch in ARCHITECTURES and self._arch not in ("", arch):
                return None
            path = base
        return self._places.get(path)


def plain_name(word: str) -> str:
    """Return what is most likely meant as a package's name in a word that may be a path."""
    return _ENDING.sub("", word.rpartition("/")[2])
