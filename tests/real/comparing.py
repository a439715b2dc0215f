"""What is equal in packages that were built in several ways."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dag.core.package.apk import read_pkginfo
from tests.real.convert import ARCH


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What must be equal in a package, however it was built."""

    origin: str
    """The definition that it was built from."""
    version: str
    depends: frozenset[str]
    provides: frozenset[str]
    """Both have also what melange finds in the files: `so:`, `cmd:` and `pc:`."""
    data: str
    """The SHA-256 of the files."""


def read_facts(packages: Path) -> dict[str, Facts]:
    """Return, by name, the facts of all packages below the directory `packages`."""
    return dict(map(_facts, sorted((packages / ARCH).glob("*.apk"))))


def _facts(path: Path) -> tuple[str, Facts]:
    with gzip.open(path) as file, tarfile.open(fileobj=file, mode="r|", ignore_zeros=True) as tar:
        text = next(
            content.read().decode()
            for member in tar
            if member.name == ".PKGINFO" and (content := tar.extractfile(member))
        )
    info = read_pkginfo(text)
    return info["pkgname"][0], Facts(
        origin=info["origin"][0],
        version=info["pkgver"][0],
        depends=frozenset(info.get("depend", ())),
        provides=frozenset(info.get("provides", ())),
        data=info["datahash"][0],
    )


def find_differences(
    one: dict[str, Facts], other: dict[str, Facts], unlike: Iterable[str] = ()
) -> list[str]:
    """Return a line for each package that differs; those in `unlike` may differ in their files."""
    found = [f"{name} is in one of them only" for name in sorted(one.keys() ^ other.keys())]
    for name in sorted(one.keys() & other.keys()):
        for what in ("origin", "version", "depends", "provides", "data"):
            mine, its = getattr(one[name], what), getattr(other[name], what)
            if mine != its and not (what == "data" and name in unlike):
                shown = sorted(mine ^ its) if isinstance(mine, frozenset) else f"{mine} and {its}"
                found.append(f"{name} differs in {what}: {shown}")
    return found
