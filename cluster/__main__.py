"""The command line: `python3 -m cluster …`."""

from __future__ import annotations

import argparse
import sys

from cluster import parts
from cluster.system import ClusterError, say


def main() -> int:
    """Run one command; 0 is success, 1 a failure that was explained on standard error."""
    parser = argparse.ArgumentParser(prog="python3 -m cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    part = commands.add_parser("part", help="build a part, print the directory of its commands")
    part.add_argument("name", choices=parts.PARTS)
    options = parser.parse_args()
    try:
        print(parts.build(options.name))
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
