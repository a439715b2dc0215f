"""`dag status`: how the latest build of a store stands, read from its journal."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dag.cli import options
from dag.cli.build import store_option
from dag.cli.options import switch
from dag.core.arch import Arch


@options.command(name="status")
@options.directory
@options.arch
@store_option
@switch("json", default=False, help="Print everything as JSON on stdout.")
@options.verbose
def command(*, directory: str, arch: Arch, store: str | None, json: bool, verbose: int) -> int:
    """Tell what the latest `dag build` has done and is doing, without disturbing it.

    Exit codes: 0 everything is built or it is still running, otherwise those of `dag build`.
    """
    from dag.core.build.states import LIVE
    from dag.report.files import to_json
    from dag.report.progress import result_lines
    from dag.report.words import seconds
    from dag.run.build.stores import read_status

    root = Path(store or Path(directory) / "packages")
    status = read_status(root, arch)
    result, running = status.result, status.is_alive
    if json:
        click.echo(to_json(result), nl=False)
    else:
        for unit in result.units:
            if running and unit.state in {state.value for state in LIVE}:
                took = seconds(result.seconds - (unit.started or 0.0))
                click.echo(f"{unit.state} {unit.name} {unit.version} for {took}")
        left = sum(unit.ended is None and not unit.blocked_by for unit in result.units)
        if running:
            click.echo(f"running; {left} of {len(result.units)} units are left")
        elif not result.finished:
            click.echo("not running: it ended before its work was done; `dag build` goes on")
        for line in result_lines(result, store=os.fspath(root), verbosity=verbose):
            click.echo(line)
    return 0 if running else result.exit_code
