"""Writing the files of a new distribution."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dag.core.package.starter import InitOptions, starter_files
from dag.errors import InfrastructureError, UsageError


def write_starter(options: InitOptions) -> list[str]:
    """Write the files of a new distribution, and return their paths.

    Raises:
        UsageError: one of them exists already; then nothing is written.
        InfrastructureError: one cannot be written.

    """
    directory = Path(options.target)
    texts = {
        directory / name: text
        for name, text in starter_files(options.repository, options.keyring).items()
    }
    there = [str(path) for path in texts if path.exists() or path.is_symlink()]
    if there:
        raise UsageError(
            f"{', '.join(there)}: nothing is written where files are already",
            hint="name another directory, or remove them",
        )
    for path, text in texts.items():
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise InfrastructureError(
                f"{path} cannot be written: {error.strerror}", hint="name another directory"
            ) from error
    return [str(path) for path in texts]


def missing_places(options: InitOptions) -> Iterator[str]:
    """Yield what the new distribution names and its directory does not have yet, in words."""
    directory = Path(options.target)
    if "://" not in options.repository:
        place = directory / options.repository
        if not place.is_dir():
            yield f"there is no directory {place} yet: copy the repository to there before you build"
        elif not any(place.glob("*/APKINDEX.tar.gz")):
            yield f"{place} is no repository yet: it has no ARCH/APKINDEX.tar.gz"
    if "://" not in options.keyring and not (place := directory / options.keyring).is_file():
        yield f"there is no file {place} yet: copy the public key to there before you build"
