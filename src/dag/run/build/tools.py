"""Find and run the programs that a build on this machine needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from dag.core.build.scripts import melange_of
from dag.errors import InfrastructureError
from dag.io.package.ways import melange_pipeline_dirs

_HINTS = {
    "make": "install make",
    "melange": "install melange from https://github.com/chainguard-dev/melange, or put it into PATH",
    "bwrap": "install bubblewrap",
    "unshare": "install util-linux",
}


PROGRAMS = tuple(_HINTS)
"""The programs that a build on this machine calls, and what it calls itself."""


def find_program(name: str) -> str:
    """Return the path of one of these programs.

    Raises:
        InfrastructureError: it is not in PATH.

    """
    path = shutil.which(name)
    if path is None:
        raise InfrastructureError(f"{name} is not installed", hint=_HINTS[name])
    return path


def melange_here(make_vars: Iterable[str]) -> str:
    """Return the path of the melange that make is to call here; empty if there is none."""
    return melange_of(make_vars, shutil.which("melange") or "")


class Tools(Struct, frozen=True):
    """The place of melange; the other programs are in PATH."""

    melange: str
    melange_dir: str
    """The directory that has `pipelines` in it, for Makefiles that name it."""

    @classmethod
    def find(cls) -> Tools:
        """Find the programs in PATH.

        Raises:
            InfrastructureError: one of them is not installed.

        """
        found = {name: find_program(name) for name in PROGRAMS}
        pipelines = melange_pipeline_dirs()
        place = pipelines[0].parent if pipelines else Path("/usr/share/melange")
        return cls(os.path.realpath(found["melange"]), os.fspath(place))

    @classmethod
    def to_sign(cls) -> Tools:
        """Find melange alone, which signs without the others.

        Raises:
            InfrastructureError: it is not installed.

        """
        return cls(os.path.realpath(find_program("melange")), "")

    def make_key(self, path: Path) -> None:
        """Make a key at `path`, and its public half `.pub` beside it."""
        self._run("keygen", "--key-size=2048", os.fspath(path))

    def sign_packages(self, paths: Iterable[Path], key: Path) -> None:
        """Sign packages in their places; a signature that one has is replaced."""
        self._run("sign", "--signing-key", os.fspath(key), *map(os.fspath, paths))

    def sign_index(self, path: Path, key: Path) -> None:
        """Sign the index at `path` in its place."""
        self._run("sign-index", "--signing-key", os.fspath(key), os.fspath(path))

    def _run(self, *words: str) -> None:
        # Ctrl-C at a terminal is meant for dag, which ends when this short work is done.
        done = subprocess.run(
            [self.melange, *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            process_group=0,
        )
        if done.returncode != 0:
            raise InfrastructureError(f"melange {words[0]} failed: {done.stderr.strip()}")
