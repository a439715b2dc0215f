"""The Makefile beside the definitions, found and read as make would find it."""

from __future__ import annotations

from glob import glob
from pathlib import Path

from dag.core.limits import MAKEFILE
from dag.core.package.makefile import FILE_NAMES, Makefile, included_patterns, read_makefile
from dag.errors import UsageError
from dag.io.files import read_text
from dag.io.package.definitions import no_definitions_error


def makefile_of(directory: Path, template: str | None) -> Makefile:
    """Return the rules of a directory's Makefile; `template` replaces what they say of targets.

    Raises:
        UsageError: there is none or nothing to build with one, it cannot be read, or the template is wrong.

    """
    found = find_makefile(directory, template)
    if found is None:
        if not any(directory.glob("*.yaml")):
            raise no_definitions_error(directory)  # what a Makefile would be of no use for
        raise UsageError(
            f"{directory} has no Makefile beside the definitions",
            hint="the build runs `make`; see docs/makefiles.md for the rules that it needs",
        )
    return found


def find_makefile(directory: Path, template: str | None) -> Makefile | None:
    """Return the rules of a directory's Makefile, or None if there is none.

    Raises:
        UsageError: it cannot be read, or the template is wrong.

    """
    for name in FILE_NAMES:
        path = directory / name
        if path.is_file():
            try:
                text = read_text(path, MAKEFILE, errors="replace")
                return read_makefile(_with_included(directory, text), template)
            except OSError as error:
                raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return None


def _with_included(directory: Path, text: str) -> str:
    """Return the text with those of the files that it includes, which make looks for in `directory`."""
    texts = [text]
    seen: set[Path] = set()
    for one in texts:  # grows while it is walked
        for pattern in included_patterns(one):
            # A pattern may be an absolute one.
            for name in glob(pattern, root_dir=directory):  # noqa: PTH207
                path = directory / name
                if path not in seen and path.is_file():
                    seen.add(path)
                    texts.append(read_text(path, MAKEFILE, errors="replace"))
    return "\n".join(texts)
