"""One definition, read from its text."""

from __future__ import annotations

from collections.abc import Sequence

from dag.core.arch import Arch
from dag.core.package.compile import read_definition
from dag.core.package.model import BrokenDefinition, Package
from dag.core.package.pipelines import Table
from dag.core.package.problems import FileProblem


def compiled(
    data: bytes,
    file: str,
    *,
    arch: str = "x86_64",
    table: Table | None = None,
    options: Sequence[str] = (),
) -> tuple[Package | None, Sequence[FileProblem]]:
    """Return the definition, or else what is wrong with it; nothing at all if it is none."""
    found = read_definition(
        data, file, arch=Arch.parse(arch), table=table or Table({}), build_options=options
    )
    return (None, found.problems) if isinstance(found, BrokenDefinition) else (found, ())
