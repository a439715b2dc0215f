"""Serves what was built to the client of `--out`, until it has everything or never comes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dag.core.limits import BUILD_LOG, PACKAGE_INDEX, PUBLIC_KEY, Limit
from dag.core.package.apk import BrokenPackage
from dag.core.package.apkindex import INDEX_FILE
from dag.io.agent.intake import TakenFile, take, take_packages
from dag.report.terminal import say
from dag.run.agent.awaiting import await_build
from dag.run.agent.serving import ServedFiles, Service, serve_files


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOrder:
    """What is served, and to whom."""

    service: Service
    arch: str
    workspace: Path
    pipe: Path
    state: Path
    """A directory that the build cannot reach."""
    log_directory: Path
    """Where the build's script keeps `log`."""
    public_key: str
    """The name of the file in the workspace."""


class _Copies(ServedFiles):
    """Copies of what a build left, by name."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def listing(self) -> str:
        """Return the lines of sha256sum for all files but the log."""
        lines = []
        for name, path in self._files.items():
            if name != "log":
                with path.open("rb") as file:
                    lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
        return "".join(lines)

    def opened(self, name: str) -> AbstractContextManager[BinaryIO] | None:
        """Open a copy; None if there is none of this name."""
        path = self._files.get(name)
        return path.open("rb") if path is not None else None


def serve(order: ServeOrder) -> None:
    """Wait for the end of the build, copy what it left, and serve the copies over HTTP.

    Raises:
        InfrastructureError: no client came, or the pod was ended before the build had begun.

    """
    await_build(order.pipe, last=False)
    serve_files(order.service, _Copies(dict(_served(order))))


def _served(order: ServeOrder) -> list[tuple[str, Path]]:
    """Copy the packages, their index, the public key and the log; return each name's copy."""
    found: list[tuple[str, Path]] = []
    for taken in take_packages(order.workspace, order.arch, order.state / "packages"):
        if isinstance(taken, TakenFile):
            found.append((taken.name, taken.copy))
        else:
            say(taken)
    others: tuple[tuple[str, Path, str, Limit], ...] = (
        ("index", order.workspace, f"packages/{order.arch}/{INDEX_FILE}", PACKAGE_INDEX),
        ("key", order.workspace, order.public_key, PUBLIC_KEY),
        ("log", order.log_directory, "log", BUILD_LOG),
    )
    for place, directory, name, limit in others:
        try:
            found.append((name, take(directory, name, order.state / place, limit).copy))
        except FileNotFoundError:
            continue
        except BrokenPackage as error:
            say(f"{name}: {error}")
    return found
