"""Runs `dag`, and ends it as `kill -9` does when its engine reaches a transition.

`python -m tests.support.dying build …` reads from `$DIES_AT` which one: the name of an event or an
action, and of a moment, as in `Proven WRITTEN`; with a name behind that, only for this package.
"""

from __future__ import annotations

import os
import signal

from dag.cli.main import run
from dag.core.build.events import Action, Event
from dag.run.build.engine import Engine, Moment

VARIABLE = "DIES_AT"


def _die(_: Engine, moment: Moment, what: Event | Action) -> None:
    kind, when, *names = os.environ[VARIABLE].split()
    if (type(what).__name__, moment.name) != (kind, when):
        return
    key = str(getattr(what, "key", ""))
    if not names or key in names:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    setattr(Engine, "reached", _die)  # noqa: B010  # mypy would not take an assignment
    run()
