"""The index of a bucket, to which several pods add what each has built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dag.core.package.apk import PublishedApk, index_stanza
from dag.core.package.apkindex import BrokenIndex


def listed_stanzas(text: str) -> dict[tuple[str, str], str]:
    """Return the lines of each package of an APKINDEX's text, by its name and version.

    Raises:
        BrokenIndex: a package has no name or no version.

    """
    found: dict[tuple[str, str], str] = {}
    for stanza in text.split("\n\n"):
        if not (lines := stanza.strip("\n")):
            continue
        fields = {line[:2]: line[2:] for line in lines.split("\n")}
        if not (fields.get("P:") and fields.get("V:")):
            raise BrokenIndex(f"a package has no name or no version: {lines[:80]!r}")
        found[fields["P:"], fields["V:"]] = lines
    return found


def is_listed(stanzas: Mapping[tuple[str, str], str], package: PublishedApk) -> bool:
    """Return whether an index has just this package; its signature may be another one."""
    known = stanzas.get((package.apk.name, package.apk.version), "")
    return known.partition("\n")[0] == package.apk.stanza.partition("\n")[0]


def merge_index(
    stanzas: Mapping[tuple[str, str], str], packages: Iterable[PublishedApk]
) -> dict[tuple[str, str], str]:
    """Return what an index lists that has the packages, too, in the place of others of that name.

    The order follows from the names and versions, whoever merges first.
    """
    added = {(one.apk.name, one.apk.version): index_stanza(one) for one in packages}
    merged = {**stanzas, **added}
    return {one: merged[one] for one in sorted(merged)}
