"""The files and the JSON about what became of a build, on this machine or in pods."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dag.cli.workplace import check_workplace
from dag.errors import InfrastructureError, UsageError
from dag.report.envelope import envelope
from dag.report.terminal import say, show_document

if TYPE_CHECKING:
    from dag.core.build.options import ResultFileOptions
    from dag.core.build.result import Result
    from dag.report.files import ShownPlaces
    from dag.run.build.stores import NamesStore

Rendering = Callable[[], str]


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


def refuse_pipe(**files: str | None) -> None:
    """Refuse a pipe for what is written again and again: who reads it may be gone, and all would wait.

    Raises:
        UsageError: one of the files is a pipe; the names are their flags'.

    """
    for flag, given in files.items():
        if given and Path(given).is_fifo():
            raise UsageError(
                f"--{flag} {given} is a pipe, and it is written more than once",
                hint="name a file",
            )


def write_documents(documents: Mapping[str, str], *, flag: str, json: bool) -> None:
    """Write what a command makes to the files that a flag names; `-` is the standard output.

    `documents` has the texts by these files. With `json` the names of the files are printed.

    Raises:
        UsageError: there is no directory for one, or two things are to go to the standard output.
        InfrastructureError: a file or the standard output cannot be written.

    """
    if json and "-" in documents:
        raise UsageError(
            f"--{flag} - and --json would both write to the standard output",
            hint=f"name a file with --{flag}, or leave --json out",
        )
    for target, text in documents.items():
        _write_document(text, target, flag=flag)
    if json:
        show_document(envelope("files", {"files": [*documents]}))


def _write_document(text: str, target: str, *, flag: str) -> None:
    """Write one text.

    Raises:
        UsageError: the file has no name, or there is no directory for it.
        InfrastructureError: the file or the standard output cannot be written.

    """
    if target == "-":
        show_document(text)
        return
    from dag.io import durable

    if not target:
        raise UsageError(
            f"--{flag} names no file", hint="name one, or write - for the standard output"
        )
    require_directories(**{flag: target})
    with _written(target):
        durable.deliver(Path(target), text.encode(errors="surrogateescape"))
    say(f"wrote {target}")


def write_results(
    options: ResultFileOptions, *, json: Rendering, junit: Rendering, markdown: Rendering
) -> None:
    """Write what was asked for, each text if it is wanted.

    Raises:
        InfrastructureError: a file or the standard output cannot be written; all others are.

    """
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    page = markdown() if options.markdown or summary else ""
    errors: list[InfrastructureError] = []
    for file, text in ((options.junit, junit), (options.markdown, lambda: page)):
        if file:
            try:
                with _written(file):
                    Path(file).write_text(text(), encoding="utf-8")
            except InfrastructureError as error:  # what took hours to build has more to tell
                errors.append(error)
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as appended:
                appended.write(page)
        except OSError as error:  # what was built is more than its summary
            say(f"$GITHUB_STEP_SUMMARY {summary}: {error.strerror}")
    if options.json:
        try:
            show_document(json())
        except InfrastructureError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def shown_places(options: NamesStore, results: Iterable[Result]) -> ShownPlaces:
    """Return where the store and the definitions of runs are, as seen from here.

    A run may have been begun on another machine, or in another directory: if the one of --dir has none of
    its definitions, they are named as they are called in their own.
    """
    from dag.report.files import ShownPlaces
    from dag.run.build.stores import store_name

    here: set[str] = set()
    with suppress(OSError):
        here |= {one.name for one in Path(options.directory).iterdir()}
    files = [unit.file for result in results for unit in result.units if unit.file]
    directory = options.directory if not files or here.intersection(files) else ""
    return ShownPlaces(store=store_name(options), directory=directory)


@contextmanager
def _written(file: str) -> Iterator[None]:
    """Name the file that cannot be written.

    A pipe that nobody reads any more is an error then, too, and not the end of our own output.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            check_workplace()
        raise InfrastructureError(
            f"{file}: {error.strerror}", hint="name another file, or make room for it"
        ) from error
