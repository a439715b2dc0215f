"""The way in: whoever presses Ctrl-C is heard, also while Python reads modules."""

from __future__ import annotations

from dag.cli.interrupts import leave_when_told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line, as `dag.cli.main.run` does."""
    leave_when_told()  # before anything is imported that takes time
    from dag.cli import main

    main.run()
