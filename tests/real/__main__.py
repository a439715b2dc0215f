"""The command `make real`: real definitions, built in several ways, are equal and work.

Every way ends with the same packages: names, versions, what they need and provide, and their files.
What is not reproducible is named in `sets.py`, with the reason.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from cluster.system import ClusterError, explained, say
from tests.real import results, sets
from tests.real.comparing import Facts, find_differences, read_facts
from tests.real.distribution import Distribution, lay_out, workplace
from tests.real.ways import WAYS, build_by


def main() -> None:
    """Build and compare. Raises ClusterError, which says what differs or does not work."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.real", description=__doc__)
    parser.add_argument("--set", choices=sets.SETS, default="real")
    parser.add_argument("--definitions", type=Path, metavar="DIR", help="build --names of these")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--names", nargs="+", metavar="NAME", help="build only these of the set")
    given = parser.parse_args()
    if given.definitions and not given.names:
        parser.error("--definitions needs --names, because no set is known in other definitions")
    definitions, names = (given.definitions, ()) if given.definitions else sets.found(given.set)
    if not (given.names or names):
        return
    with workplace() as place:
        distribution = lay_out(place / "distribution", definitions, given.names or names)
        compare(distribution, place, given.ways)


def compare(distribution: Distribution, place: Path, ways: list[str]) -> None:
    """Build in all these ways, compare each with the first, and use what the first has built."""
    found: dict[str, dict[str, Facts]] = {}
    for way in ways:
        began = time.monotonic()
        packages = build_by(way, distribution, place / way)
        found[way] = read_facts(packages)
        say(f"{WAYS[way].summary}: {len(found[way])} packages, {time.monotonic() - began:.0f} s")
        if way == ways[0]:
            tried = results.use(place / "roots", distribution.repository, packages, found[way])
            say(f"what works without anything else: {', '.join(tried) or 'nothing is tried'}")
        shutil.rmtree(place / way / "cache", ignore_errors=True)
    first, *others = ways
    differences = [
        f"{WAYS[first].summary}, {WAYS[way].summary}: {line}"
        for way in others
        for line in find_differences(found[first], found[way], sets.NOT_REPRODUCIBLE)
    ]
    if differences:
        raise ClusterError("\n".join(differences))
    say(f"equal: {', '.join(WAYS[way].summary for way in ways)}")


if __name__ == "__main__":
    sys.exit(explained(main))
