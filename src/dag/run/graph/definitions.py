"""From the flags of a command to the definitions of a directory."""

from __future__ import annotations

from pathlib import Path

from dag.core.arch import Arch
from dag.core.package.directory import Definitions
from dag.core.package.options import CompileOptions
from dag.io.package.definitions import read_directory


def read_definitions(options: CompileOptions, directory: str, arch: Arch) -> Definitions:
    """Read the definitions of a directory.

    The caller tells what is wrong with some of them (`Definitions.words`).

    Raises:
        UsageError: none can be used, or one has a problem and `options.strict` asks for none.

    """
    found = read_directory(
        Path(directory),
        arch=arch.apk,
        pipeline_dirs=[Path(one) for one in options.pipeline_dirs],
        build_options=options.build_options,
    )
    if options.strict:
        found.require_sound()
    return found
