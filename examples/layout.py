"""The example distribution in a directory of its own, with a Makefile of either kind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from examples import sources
from examples.bootstrap import HERE, bootstrap

Kind = Literal["2023", "2026"]

_SOURCE = HERE / "distribution"
_MAKEFILES: dict[Kind, Path] = {
    "2023": HERE / "makefiles" / "2023.mk",
    "2026": _SOURCE / "Makefile",
}


def lay_out(directory: Path, *, kind: Kind = "2026", source_url: str = sources.URL) -> Path:
    """Write a whole distribution into the new `directory` and return it.

    It has definitions, pipelines, `dag.toml`, a Makefile of that `kind` and the bootstrap
    repository. `source_url` replaces the address of the source server in the definitions. The same
    call writes the same bytes, except that each machine signs the index of the bootstrap repository
    with a key of its own.
    """
    directory.mkdir(parents=True)
    # Only these kinds of files are copied, so what a build left in the example is not.
    for pattern in ("*.yaml", "*.env", "dag.toml", "pipelines/**/*.yaml", "*/*.patch"):
        for source in sorted(_SOURCE.glob(pattern)):
            target = directory / source.relative_to(_SOURCE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source.read_text().replace(sources.URL, source_url))
    shutil.copyfile(_MAKEFILES[kind], directory / "Makefile")
    bootstrap(directory / "bootstrap")
    return directory
