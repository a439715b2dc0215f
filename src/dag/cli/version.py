"""`dag version`: which dag this is."""

from __future__ import annotations

from dag import __version__
from dag.cli.options import command_of
from dag.core.aboutoptions import VersionOptions
from dag.report.terminal import show, show_document


@command_of(
    VersionOptions,
    ("Print the version.", "dag version"),
    ("Print all that an error report needs, as JSON.", "dag version --json"),
)
def command(options: VersionOptions) -> None:
    """Tell which dag this is.

    As JSON it also tells the Python and the machine that it runs on, and which version of melange its
    table of built-in pipelines is from.
    """
    if not options.json:
        show([__version__])
        return
    import platform

    from dag.core.package.builtin import MELANGE
    from dag.report.envelope import envelope

    facts = {
        "name": "melange-dag",
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "melange": MELANGE.removeprefix("v"),
    }
    show_document(envelope("version", facts))
