"""`dag doctor`: whether a build with the same flags could work, and what to do if not."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.core.doctor.options import DoctorOptions


@command_of(
    DoctorOptions,
    ("Find out whether `dag pod brotli` could build here.", "dag doctor brotli"),
    ("Find out whether `dag build` could build on this machine.", "dag doctor --on local"),
    ("Look at everything without creating a pod.", "dag doctor --probe=false"),
    (
        "Find out whether units could be built as Jobs.",
        "dag doctor --on kubernetes --store pvc://packages",
    ),
)
def command(options: DoctorOptions) -> int:
    """Find out whether a cluster or this machine could build.

    It takes the flags of `dag pod`; with `--on kubernetes` it examines `dag build --on kubernetes`, with
    `--on local` `dag build` on this machine, and goes by the table of that in dag.toml. Each check
    ends with ok, warning, failed, or skipped because an earlier one failed, and says what mends it.
    Small pods pull a tiny image that is pushed for them, and are deleted. The exit code is 0 if nothing
    is known that would stop a build, 2 if the definitions or the flags are wrong, 3 if something else
    would stop it, and 130 after an interruption.
    """
    from dag.core.doctor.checks import exit_code
    from dag.report.doctor import headline, lines, to_json
    from dag.report.terminal import Terminal, show, show_document
    from dag.run.announcing import announced
    from dag.run.doctor.jobs import JobsDoctor
    from dag.run.doctor.local import LocalDoctor
    from dag.run.doctor.pod import PodDoctor
    from dag.run.signals import run_interruptibly

    options.check()
    terminal = Terminal(verbosity=options.verbose)
    doctor: PodDoctor | JobsDoctor | LocalDoctor
    match options.on:
        case "local":
            doctor = LocalDoctor(options, terminal)
        case "kubernetes":
            doctor = JobsDoctor(options, terminal)
        case _:
            doctor = PodDoctor(options, terminal)
    with announced(lambda: "examining; that may take some minutes, -v tells of each probe"):
        findings = run_interruptibly(doctor.examine())
    if options.json:
        show_document(to_json(findings))
    else:
        show(lines(findings))
    terminal.say(headline(findings))
    return exit_code(findings.values())
