"""`dag doctor`: whether `dag pod` with the same flags could work, and what to do if not."""

from __future__ import annotations

from typing import Any

import click

from dag.cli import options
from dag.cli.options import switch
from dag.cli.podflags import check_flags, pod_flags


@options.command(name="doctor")
@pod_flags
@switch("probe", default=True, help="Try on a node, in small Pods, what only a node knows.")
@switch("json", default=False, help="Print the findings as JSON.")
def command(**given: Any) -> int:  # noqa: ANN401
    """Check what `dag pod` would meet with these flags, before a build finds out.

    Each check ends with ok, warning, failed or skipped (because an earlier one failed), and says
    what mends it. Small Pods pull a tiny image that is pushed for them, and are deleted.
    Exit codes: 0 nothing is known that would stop a build, 2 the definitions or the flags are
    wrong, 3 something else would stop it, 130 interrupted.
    """
    from dag.core.doctor.checks import exit_code
    from dag.report.doctor import headline, lines, to_json
    from dag.report.terminal import Terminal
    from dag.run.doctor.facts import Doctor
    from dag.run.pod.request import PodOptions
    from dag.run.signals import run_interruptibly

    probe, as_json = given.pop("probe"), given.pop("json")
    chosen = PodOptions(**given)
    check_flags(chosen)
    terminal = Terminal(verbosity=chosen.verbose)
    findings = run_interruptibly(Doctor(chosen, terminal, probe=probe).examine())
    if as_json:
        click.echo(to_json(findings), nl=False)
    else:
        for line in lines(findings):
            click.echo(line)
    terminal.say(headline(findings))
    return exit_code(findings.values())
