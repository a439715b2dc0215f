"""Names that two definitions claim."""

from __future__ import annotations

from collections.abc import Sequence

from dag.core.package.model import Package, Subpackage

FIX = "rename or remove one of the two"


def clashes(packages: Sequence[Package]) -> list[tuple[str, int, str]]:
    """Each name that is defined twice: (file, line, what), at the later definition."""
    names = {package.name for package in packages}
    names.update(one.name for package in packages for one in package.subpackages)
    if len(names) == sum(1 + len(package.subpackages) for package in packages):
        return []
    first: dict[str, Package | Subpackage] = {}
    found: list[tuple[str, int, str]] = []
    for package in packages:
        other = first.setdefault(package.name, package)
        if other is not package:
            what = f"package {package.name!r} is already defined in {other.file}:{other.line}"
            found.append((package.file, package.line, what))
    for package in packages:
        for subpackage in package.subpackages:
            other = first.setdefault(subpackage.name, subpackage)
            if other is not subpackage:
                kind = "subpackage" if isinstance(other, Subpackage) else "package"
                what = (
                    f"the subpackage name {subpackage.name!r} is already used by the {kind} in "
                    f"{other.file}:{other.line}"
                )
                found.append((subpackage.file, subpackage.line, what))
    return found
