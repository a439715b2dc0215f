"""What a Pod does that drives a detached run: what `dag build --on kubernetes` does, and nothing more.

It is told the images, and what a client knows of the definitions. It has no key, so it publishes
nothing. It may die at any instant: Kubernetes makes another Pod, which goes on as a client does that
is run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dag.core.decoding import Undecodable
from dag.core.jobs.handover import DriverEnd, decode_handover
from dag.errors import DagError, InfrastructureError, UsageError
from dag.report.terminal import Manner, Terminal, behave
from dag.run.build.session import Build
from dag.run.jobs.start import ClusterOutcome, build_on_cluster
from dag.run.signals import leave_on_sigterm


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
    terminal = Terminal(verbosity=options.verbose)
    try:
        outcome = build_on_cluster(options, terminal, planned, handed)
    except DagError as error:
        return end_of_outcome(ClusterOutcome(results=(), errors=(error,)))
    for one in outcome.errors:
        terminal.complain(one.message)
    return end_of_outcome(outcome)


def end_of_outcome(outcome: ClusterOutcome) -> DriverEnd:
    """Return how a driver ends whose build has ended so.

    Raises:
        InfrastructureError: something around the build failed, which may be well for another Pod.

    """
    worst = outcome.worst
    if worst is None:
        return DriverEnd(exit_code=outcome.exit_code)
    if worst.exit_code == InfrastructureError.exit_code:
        raise worst
    return DriverEnd(exit_code=worst.exit_code, words=worst.message, hint=worst.hint or "")
