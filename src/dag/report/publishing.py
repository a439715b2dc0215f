"""What came of publishing, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dag.core.build.publishing import Publishing, UnpublishedUnit
from dag.report.words import by_reason, count, some


def publishing_lines(one: Publishing, *, dry_run: bool, verbose: int) -> Iterator[str]:
    """Yield what came of publishing for one architecture; `dry_run` says that it would come of it."""
    would = "would be " if dry_run else ""
    for unit in one.published:
        yield f"{unit.name} {unit.version} {would or 'is '}published"
    for lost in one.refused:
        yield f"{_named(lost)} is refused: {lost.why}"
    yield from _lacking(one.lacking, verbose=verbose)
    numbers = [f"{count(len(one.published), 'package')} {would}published"]
    numbers += [f"{len(one.already):,} already"] if one.already else []
    numbers += [f"{len(one.refused):,} refused"] if one.refused else []
    numbers += [f"{len(one.lacking):,} not finished"] if one.lacking else []
    yield ", ".join(numbers)


def _lacking(lacking: Sequence[UnpublishedUnit], *, verbose: int) -> Iterator[str]:
    for why, names in by_reason({_named(one): one.why for one in lacking}).items():
        yield f"not published: {some(names, len(names) if verbose else 5)}: {why}"


def _named(unit: UnpublishedUnit) -> str:
    return f"{unit.name} {unit.version}".rstrip()
