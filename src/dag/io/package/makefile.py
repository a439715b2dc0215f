"""The Makefile beside the definitions, found and read as make would find it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path

from dag.core.arch import Arch
from dag.core.limits import MAKEFILE
from dag.core.package.makefile import (
    APK_TEMPLATE,
    FILE_NAMES,
    GIVEN,
    NAME_TEMPLATE,
    Makefile,
    built_in_makefile,
    built_in_text,
    included_patterns,
    read_makefile,
)
from dag.core.package.makefunctions import UNKNOWN
from dag.core.package.makerules import stop_note
from dag.core.package.makesource import MakefilePart, MakefileText
from dag.core.package.maketext import MakeText
from dag.core.package.melangeflags import MelangeFlags
from dag.core.package.melangetable import NO_TABLE, TABLE, read_table
from dag.core.package.owncalls import own_calls
from dag.errors import UsageError
from dag.io.files import read_text
from dag.io.package.definitions import no_definitions_error
from dag.io.settings import SETTINGS_FILE, read_settings_file

_MOST_EVALUATED = 10
"""Lines with `include` and a variable; for each of them all text before it is read again."""
BUILT_IN = "the Makefile of dag's own"
"""Stands for its file's name."""


def makefile_of(directory: Path, template: str | None, make_vars: Mapping[str, str]) -> Makefile:
    """Return the rules of a directory's Makefile; `template` replaces what they say of targets.

    Where there is none, they are the rules of dag's own. `make_vars` are as for `find_source`.

    Raises:
        UsageError: there is nothing to build, the Makefile cannot be read, or the template is wrong
            or for no Makefile.

    """
    if not any(directory.glob("*.yaml")):
        raise no_definitions_error(directory)
    found = find_makefile(directory, template, make_vars)
    if found is not None:
        return found
    if template is not None:
        raise UsageError(
            f"{directory} has no Makefile that could have a rule for {template}",
            hint="leave --target-template out; see docs/makefiles.md for what is built then",
        )
    return built_in_makefile()


def find_makefile(
    directory: Path, template: str | None, make_vars: Mapping[str, str]
) -> Makefile | None:
    """Return the rules of a directory's Makefile, or None if there is none.

    `make_vars` are as for `find_source`.

    Raises:
        UsageError: it cannot be read, or the template is wrong.

    """
    source = find_source(directory, make_vars)
    if source is None:
        return None
    makefile = read_makefile(source.text, template)
    templates = {APK_TEMPLATE, NAME_TEMPLATE, makefile.template}
    calls = own_calls(source, {**GIVEN, **make_vars}, templates)
    return replace(makefile, stop=stop_note(source), own_calls=calls)


def find_source(directory: Path, make_vars: Mapping[str, str]) -> MakefileText | None:
    """Return the text of a directory's Makefile with those that it includes, or None.

    `make_vars` are the assignments on make's command line, which may name what is included.

    Raises:
        UsageError: it cannot be read, or is no file.

    """
    for name in FILE_NAMES:
        path = directory / name
        if path.is_file():
            try:
                return _Includer(directory, make_vars).read(name)
            except OSError as error:
                raise UsageError(
                    f"{path} cannot be read: {error.strerror}", hint="make it readable"
                ) from error
        if path.is_symlink() or path.exists():
            what = "is no file" if path.exists() else "is a link that leads nowhere"
            raise UsageError(
                f"{path} {what}, and make takes it for the Makefile",
                hint="rename or remove it, or put a Makefile there",
            )
    return None


def melange_flags(
    directory: Path,
    *,
    arch: Arch,
    make_vars: Iterable[tuple[str, str]] = (),
    pipeline_dirs: Sequence[str] = (),
    build_options: Sequence[str] = (),
) -> MelangeFlags:
    """Return with which flags melange builds the definitions of a directory.

    Its Makefile says so, and `[melange]` in its `dag.toml`; the others are those of `MelangeFlags`.

    Raises:
        UsageError: one of these files cannot be read, or the table is wrong.

    """
    make_vars = tuple(make_vars)
    source = find_source(directory, dict(make_vars))
    makefile = built_in_makefile() if source is None else read_makefile(source.text)
    if source is None:
        source = MakefileText(built_in_text(), (MakefilePart(1, BUILT_IN, 1),))
    settings = read_settings_file(directory)
    table, place = NO_TABLE, (SETTINGS_FILE, 1)
    if settings is not None and TABLE in settings.table:
        table = read_table(settings.table[TABLE], settings.place)
        place = (SETTINGS_FILE, settings.line("package-append"))
    return MelangeFlags(
        makefile,
        source,
        table,
        settings=place,
        arch=arch,
        make_vars=make_vars,
        pipeline_dirs=pipeline_dirs,
        build_options=build_options,
    )


class _Includer:
    """Puts files that a Makefile includes into its text; make looks for them in `directory`."""

    def __init__(self, directory: Path, make_vars: Mapping[str, str]) -> None:
        self._directory = directory
        self._make_vars = make_vars
        self._left = _MOST_EVALUATED
        self._lines: list[str] = []
        self._parts: list[MakefilePart] = []
        self._seen: set[Path] = set()
        self._lacking: list[tuple[int, str]] = []

    def read(self, name: str) -> MakefileText:
        self._add(name)
        text = "\n".join([*self._lines, ""])
        return MakefileText(text, tuple(self._parts), tuple(self._lacking))

    def _add(self, name: str) -> None:
        path = self._directory / name
        if path in self._seen or not path.is_file():
            return
        self._seen.add(path)
        text = read_text(path, MAKEFILE, errors="replace")
        # As make does with what editors of another system write.
        text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        lines = text.removesuffix("\n").split("\n")
        self._begin(name, 0)
        self._lines.append(f"MAKEFILE_LIST += {' '.join(name.split())}")  # as make does
        for number, line in enumerate(lines, start=1):
            self._lines.append(line)
            for pattern in included_patterns(line, self._expand):
                # A pattern may be an absolute one.
                found = sorted(glob(pattern, root_dir=self._directory))  # noqa: PTH207
                if not found and line.lstrip().startswith("include"):
                    self._lacking.append((len(self._lines), pattern))
                for one in found:
                    self._add(one)
                self._begin(name, number + 1)

    def _expand(self, names: str) -> str:
        """Expand what a line has behind `include`, by all that make has read until then.

        What nothing there sets may be in the environment of make, and then nobody knows it.
        """
        if not self._left:
            return UNKNOWN
        self._left -= 1
        given = {**GIVEN, **self._make_vars}
        text = "\n".join([*self._lines, ""])
        return MakeText(text, given, unset=UNKNOWN).expand(names, {})

    def _begin(self, name: str, line: int) -> None:
        self._parts.append(MakefilePart(len(self._lines) + 1, name, line))
