"""The command `make bare`: what the README tells a newcomer to type works on a bare machine.

So does the tutorial, with a wheel that was installed there.

It clones the HEAD of the checkout there. It types the commands below each heading of the README in
a terminal of its own. Of `make test` it types only the start, because the whole takes long and runs
here anyway.
"""

from __future__ import annotations

import shlex
import signal
import sys
import time
from pathlib import Path

from cluster import lifecycle
from cluster.system import ClusterError, explained, run, say, step
from tests.bare.machine import HOME, Machine, bare_machine
from tests.bare.readme import Block, blocks

CHECKOUT = Path(__file__).resolve().parents[2]
CLONE = HOME / "clone"

START = {
    "make test": ("make test PYTEST_ADDOPTS='--collect-only -qq'", "make unit"),
}
"""By command, the commands that are typed in its place, where the whole would take too long."""

QUIET = """
before=$(dpkg-query -W)
said=$(python3 -m cluster down 2>&1)
[ -z "$said" ] || { echo "python3 -m cluster down says: $said" >&2; exit 1; }
[ "$before" = "$(dpkg-query -W)" ] || { echo "python3 -m cluster down installs" >&2; exit 1; }
"""
"""A script that fails if `down` says or installs anything on a machine that has nothing."""

CLEAN = """
changed=$(git status --porcelain)
[ -z "$changed" ] || { echo "the clone is not as it was:"; echo "$changed"; exit 1; } >&2
"""

TUTORIAL = """
~/dag/bin/pip wheel --quiet --no-deps --wheel-dir /tmp/wheel .
python3 -m venv /tmp/installed
/tmp/installed/bin/pip install --quiet /tmp/wheel/*.whl
melange=$(python3 -m cluster part melange | tail -n 1)
PATH="/tmp/installed/bin:$melange:$PATH" python3 -m tests.support.tutorial /tmp/tutorial
"""
"""A script that follows the tutorial with a wheel that was installed where no clone is."""

END = """
kill -KILL -1 2>/dev/null
exec python3 -m cluster down
"""
"""A script that ends all that was typed, and gives back what a cluster has of the other machine."""


def main() -> None:
    """Type everything. Raises ClusterError, which says what does not work."""
    begin = time.monotonic()
    if run("git", "-C", CHECKOUT, "status", "--porcelain", "--untracked-files=no"):
        say("changes that are not committed are not tried, because HEAD is cloned")
    with lifecycle.reserved(), bare_machine() as machine:
        clone = machine.root / CLONE.relative_to("/")
        run("git", "clone", "--quiet", "--no-hardlinks", CHECKOUT, clone)
        try:
            _type(machine, "python3 -m cluster down, where there is nothing", QUIET)
            for block in blocks((clone / "README.md").read_text()):
                _type(machine, f"README.md, {block.heading}", _script(block))
                _type(machine, "git status", CLEAN)
            _type(machine, "docs/tutorial.md, with a wheel", TUTORIAL)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            machine.run(f"cd {CLONE}\n{END}", detached=True)
    say(f"a bare machine does all that the README says: {time.monotonic() - begin:.0f} s")


def _type(machine: Machine, what: str, script: str) -> None:
    with step(f"on a bare machine: {what}"):
        code = machine.run(f"set -e\ncd {CLONE}\n{script}")
    if code:
        raise ClusterError(f"on a bare machine: {what}: exit code {code} of what was typed last")


def _script(block: Block) -> str:
    lines = []
    for command in block.commands:
        for typed in START.get(command, (command,)):
            lines += [f"echo {shlex.quote(f'$ {typed}')} >&2", typed]
    return "\n".join(lines)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # so the machine is switched off
    sys.exit(explained(main))
