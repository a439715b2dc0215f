"""`dag init`: a new distribution that builds at once."""

from __future__ import annotations

import shlex

from dag.cli.options import command_of
from dag.core.package.starter import InitOptions
from dag.report.envelope import envelope
from dag.report.terminal import say, show, show_document


@command_of(
    InitOptions,
    ("Begin a distribution in a new directory.", "dag init my-distribution"),
    (
        "Begin it with the packages of another repository.",
        "dag init -r https://example.com/os --keyring https://example.com/os.rsa.pub mine",
    ),
)
def command(options: InitOptions) -> None:
    """Begin a distribution that builds at once.

    It gets two definitions, one of which needs the other, a Makefile, a dag.toml that names what can
    be set, and a .gitignore. What is there already is never overwritten.
    """
    from dag.io.package.starter import missing_places, write_starter

    written = write_starter(options)
    if options.json:
        show_document(envelope("files", {"files": [*written]}))
    else:
        show(written)
    for line in missing_places(options):
        say(line)
    say(f"`dag build --dir {shlex.quote(options.target)}` builds it")
