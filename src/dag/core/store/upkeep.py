"""Which blobs of a store nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dag.core.store.records import Record

GRACE = 7 * 86400.0
"""Seconds for which a blob stays that no record names: its writer may be about to write the record.
Whoever relies on a blob that is there renews it, and then it counts as just written."""


def unneeded_blobs(ages: Mapping[str, float], records: Iterable[Record]) -> list[str]:
    """Return the blobs that no record names and nobody renewed; `ages` are seconds, by SHA-256."""
    needed = {one.apk.sha256 for record in records for one in record.built}
    return [digest for digest, age in ages.items() if age > GRACE and digest not in needed]
