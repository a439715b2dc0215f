"""The files and the JSON about what became of a build, on this machine or in pods."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dag.errors import UsageError
from dag.report.terminal import say, show_document, silence

if TYPE_CHECKING:
    from dag.core.build.options import ResultFileOptions

Text = Callable[[], str]


def require_directories(**files: str | None) -> None:
    """Refuse files that could not be written after hours of building; the names are their flags'.

    Raises:
        UsageError: there is no directory for one.

    """
    for flag, given in files.items():
        place = Path(given or ".").parent
        if not place.is_dir():
            raise UsageError(
                f"--{flag} {given}: there is no directory {place}",
                hint="make it, or name a file elsewhere",
            )


def write_results(options: ResultFileOptions, *, json: Text, junit: Text, markdown: Text) -> None:
    """Write what was asked for, each text if it is wanted."""
    if options.junit:
        Path(options.junit).write_text(junit(), encoding="utf-8")
    if options.markdown:
        Path(options.markdown).write_text(markdown(), encoding="utf-8")
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        try:
            with Path(page).open("a", encoding="utf-8") as file:
                file.write(markdown())
        except OSError as error:  # what was built is more than its summary
            say(f"$GITHUB_STEP_SUMMARY {page}: {error.strerror}")
    if options.json:
        try:
            show_document(json())
        except OSError:  # whoever reads it has left; the exit code tells
            silence(sys.stdout)
