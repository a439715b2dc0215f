"""Names of packages → the definitions that make them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dag.core.graph.asked import plain_name
from dag.core.package.model import Package
from dag.core.package.names import find_clashes
from dag.errors import UsageError


def find_makers(packages: Sequence[Package]) -> dict[str, int]:
    """Return the place in `packages` of the definition that makes each package or subpackage.

    Of two packages of one name the higher version counts.
    """
    makers = {package.name: number for number, package in enumerate(packages)}
    for number, package in enumerate(packages):
        for subpackage in package.subpackages:
            makers[subpackage.name] = number
    for clash in find_clashes(packages):
        makers[clash.name] = clash.counts.place
    return makers


def unknown_names(names: Sequence[str], known: Iterable[str]) -> UsageError:
    """Return the error that there are no packages of these `names`, with the closest that are."""
    from difflib import get_close_matches

    possible = sorted(known)
    hints: list[str] = []
    for name in names[:20]:
        if close := get_close_matches(plain_name(name), possible, n=5):
            instead = f" instead of {name}" if len(names) > 1 else ""
            hints.append(f"did you mean {' or '.join(close)}{instead}?")
    # The words of the original program, which scripts may look for.
    lines = [f'package "{name}" not found in graph' for name in names]
    return UsageError("\n".join(lines), hint=" ".join(hints) or None)
