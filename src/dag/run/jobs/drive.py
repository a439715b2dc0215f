"""What a Pod does that drives a detached run: what `dag build --on kubernetes` does, and nothing more.

It is told the images, and what a client knows of the definitions. It has no key, so it publishes
nothing. It may die at any instant: Kubernetes makes another Pod, which goes on as a client does that
is run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dag.core.decoding import Undecodable
from dag.core.jobs.handover import DriverEnd, Handover, decode_handover
from dag.errors import DagError, InfrastructureError, UsageError
from dag.report.terminal import Manner, Terminal, behave
from dag.run.build.session import Build
from dag.run.jobs.start import ClusterOutcome, build_on_cluster
from dag.run.signals import leave_on_sigterm

_AGAIN = InfrastructureError.exit_code


def drive(words: Iterable[str], planned: Callable[[Build], None]) -> DriverEnd:
    """Drive the run that a client has handed over, and return how it ended.

    `planned` is called with each plan.

    Raises:
        InfrastructureError: something around the build failed, so another Pod is to try again.

    """
    try:
        handed = decode_handover(words)
    except Undecodable as error:
        return DriverEnd(
            exit_code=UsageError.exit_code, words=f"what the driver was told is damaged: {error}"
        )
    leave_on_sigterm()  # a node that is drained: whoever comes next finds the Jobs as they are
    options = handed.options()
    behave(Manner(quiet=options.quiet, color=options.color))
    try:
        outcome = _build(handed, planned)
    except DagError as error:
        if error.exit_code == _AGAIN:
            raise
        return DriverEnd(exit_code=error.exit_code, words=error.message, hint=error.hint or "")
    worst = next((one for one in outcome.errors if one.exit_code == outcome.exit_code), None)
    if worst is not None and worst.exit_code == _AGAIN:
        raise worst
    if worst is None:
        return DriverEnd(exit_code=outcome.exit_code)
    return DriverEnd(exit_code=worst.exit_code, words=worst.message, hint=worst.hint or "")


def _build(handed: Handover, planned: Callable[[Build], None]) -> ClusterOutcome:
    options = handed.options()
    terminal = Terminal(verbosity=options.verbose)
    outcome = build_on_cluster(options, terminal, planned, handed)
    for error in outcome.errors:
        terminal.complain(error.message)
    return outcome
