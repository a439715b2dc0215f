"""`dag status`: how the latest build of a store stands, read from its journal."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.core.build.options import StatusOptions


@command_of(
    StatusOptions,
    ("See how the build of this directory stands.", "dag status"),
    ("Have everything that is known about it as JSON.", "dag status --json"),
)
def command(options: StatusOptions) -> int:
    """Tell how the latest `dag build` stands, or how it ended.

    A build that runs is not disturbed. The exit code is 0 if everything is built or the build still
    runs, and otherwise that of `dag build`.
    """
    from dag.core.build.states import LIVE
    from dag.report.files import to_json
    from dag.report.progress import result_lines
    from dag.report.terminal import show, show_document
    from dag.report.words import seconds
    from dag.run.build.stores import read_status, store_path

    store = store_path(options)
    status = read_status(store, options.arch)
    result, running = status.result, status.is_alive
    if options.json:
        show_document(to_json(result))
    else:
        for unit in result.units:
            if running and unit.state in {state.value for state in LIVE}:
                took = seconds(result.seconds - (unit.started or 0.0))
                show([f"{unit.state} {unit.name} {unit.version} for {took}"])
        left = sum(unit.ended is None and not unit.blocked_by for unit in result.units)
        if running:
            show([f"running; {left} of {len(result.units)} units are left"])
        elif not result.finished:
            show(["not running: it ended before its work was done; `dag build` goes on"])
        show(result_lines(result, store=str(store), verbosity=options.verbose))
    return 0 if running else result.exit_code
