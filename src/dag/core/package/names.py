"""Names that two definitions claim."""

from __future__ import annotations

from collections.abc import Sequence

from dag.core.package.model import Package, Subpackage
from dag.core.package.problems import FileProblem

_FIX = "rename or remove one of the two"


def find_clashes(packages: Sequence[Package]) -> list[FileProblem]:
    """Return a problem for each name that is defined twice, at the later definition."""
    names = {package.name for package in packages}
    names.update(one.name for package in packages for one in package.subpackages)
    if len(names) == sum(1 + len(package.subpackages) for package in packages):
        return []
    first: dict[str, Package | Subpackage] = {}
    problems: list[FileProblem] = []
    for package in packages:
        other = first.setdefault(package.name, package)
        if other is not package:
            what = f"the package {package.name!r} is already defined in {other.file}:{other.line}"
            problems.append(FileProblem(package.file, package.line, what, _FIX))
    for package in packages:
        for subpackage in package.subpackages:
            other = first.setdefault(subpackage.name, subpackage)
            if other is not subpackage:
                kind = "subpackage" if isinstance(other, Subpackage) else "package"
                what = (
                    f"the subpackage name {subpackage.name!r} is already used by the {kind} in "
                    f"{other.file}:{other.line}"
                )
                problems.append(FileProblem(subpackage.file, subpackage.line, what, _FIX))
    return problems
