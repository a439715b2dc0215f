"""Which blobs, runs and requests of a store nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dag.core.store.layout import answer_of, is_answer
from dag.core.store.records import Record

GRACE = 7 * 86400.0
"""Seconds for which a blob stays that no record names: its writer may be about to write the record.
Whoever relies on a blob that is there renews it, and then it counts as just written."""

RUNS_KEPT = 10
"""So many of the latest runs stay, however old they are."""
RUN_GRACE = 30 * 86400.0
"""Seconds for which each run stays after the last word of it was written."""
REQUEST_GRACE = 30 * 86400.0
"""Seconds for which a request stays that no signer answers."""


def unneeded_requests(ages: Mapping[str, float]) -> list[str]:
    """Return the requests to signers, and the answers, that nobody needs; `ages` are seconds, by name.

    What an answered request has attested, its signer remembers. Whatever else lies there is nobody's to
    remove.
    """

    def is_unneeded(name: str, age: float) -> bool:
        if is_answer(name):
            return age > GRACE
        answer = answer_of(name)
        return answer is not None and age > (GRACE if answer in ages else REQUEST_GRACE)

    return sorted(name for name, age in ages.items() if is_unneeded(name, age))


def unneeded_runs(ages: Mapping[str, float]) -> list[str]:
    """Return the runs that are neither recent nor among the latest; `ages` are seconds, by id."""
    older = sorted(ages, reverse=True)[RUNS_KEPT:]
    return [run for run in older if ages[run] > RUN_GRACE]


def unneeded_blobs(ages: Mapping[str, float], records: Iterable[Record]) -> list[str]:
    """Return the blobs that no record names and nobody renewed; `ages` are seconds, by SHA-256."""
    needed = {one.apk.sha256 for record in records for one in record.built}
    return [digest for digest, age in ages.items() if age > GRACE and digest not in needed]
