"""Packages of different names whose files would have one name: `ca` `x-1` and `ca-x` `1`."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from dag.core.package.constraints import is_version
from dag.core.package.model import Package
from dag.errors import UsageError


def refuse_clashing_files(packages: Iterable[Package], built: AbstractSet[str]) -> None:
    """Refuse packages of which one would overwrite another in a store, if any of the two is built.

    Raises:
        UsageError: there are such; the message names both definitions.

    """
    owners: dict[str, tuple[Package, str]] = {}
    for package in packages:
        version = package.full_version
        for name in package.promised:
            other, as_ = owners.setdefault(f"{name}-{version}.apk", (package, name))
            if (other is not package or as_ != name) and not built.isdisjoint(
                {package.name, other.name}
            ):
                raise _clash(f"{name}-{version}.apk", (other, as_), (package, name))


def _clash(file: str, *both: tuple[Package, str]) -> UsageError:
    said = " and ".join(
        f"{package.file}:{package.line} ({name} {package.full_version})" for package, name in both
    )
    wrong = [package for package, _ in both if not is_version(package.version)]
    hint = "give one of them another name or version"
    if wrong:
        hint = f"melange refuses the version {wrong[0].version} of {wrong[0].file}: correct it"
    return UsageError(f"{said} would both be the file {file}", hint=hint)
