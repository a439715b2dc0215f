"""From the flags of a command to the definitions of a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dag.core.arch import Arch
from dag.core.package.directory import Definitions
from dag.core.package.makeassignments import split_assignment
from dag.core.package.options import CompileOptions
from dag.io.package.definitions import read_directory
from dag.io.package.listing import list_directory
from dag.io.package.makefile import melange_flags
from dag.report.words import count
from dag.run.announcing import announced


def read_definitions(options: CompileOptions, directory: str, arch: Arch) -> Definitions:
    """Read the definitions of a directory.

    The caller tells what is wrong with some of them (`Definitions.words`).

    Raises:
        UsageError: none can be used, or one has a problem and `options.strict` asks for none.

    """
    flags = melange_flags(
        Path(directory),
        arch=arch,
        make_vars=map(split_assignment, options.make_vars),
        pipeline_dirs=[os.fspath(Path(one).resolve()) for one in options.pipeline_dirs],
        build_options=options.build_options,
    )

    def words() -> str:
        return f"reading {count(len(list_directory(Path(directory)).yaml), 'definition')}"

    with announced(words):
        found = read_directory(Path(directory), arch=arch.apk, flags=flags)
    if options.strict:
        found.require_sound()
    return found._replace(remarks=(*found.remarks, *_unknown_options(found, options)))


def _unknown_options(found: Definitions, options: CompileOptions) -> Iterator[str]:
    """Yield in words which build options no definition has; one that cannot be used may have any."""
    if options.build_options and not found.broken:
        known = {name for package in found.packages for name in package.options}
        for name in dict.fromkeys(options.build_options):
            if name not in known:
                yield f"--build-option {name} changes nothing: no definition has this in its options"
