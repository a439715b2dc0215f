"""The layer of the wheels that dag needs on a platform: fetched by uv, checked by the lock file."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dag.core.image.agent import (
    AGENT_ROOT,
    PYTHON,
    WHEEL_PLATFORMS,
    is_kept,
    wheels_key,
    with_byte_code,
)
from dag.core.image.archive import File
from dag.core.image.layers import Layer
from dag.errors import InfrastructureError
from dag.io.image.agent.own import read_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dag.io.image.agent.kept import KeptLayers
    from dag.io.image.assembly import ReadyLayer

_PIECE = 1 << 20
_TAIL = 15
"""Lines of uv that tell why it failed."""


def wheels_layer(
    architecture: str, kept: KeptLayers, progress: Callable[[str], None]
) -> ReadyLayer:
    """Return the layer of the wheels for an architecture, as OCI names it; one is made if need be.

    Raises:
        InfrastructureError: uv is not there, or cannot fetch the wheels.

    """
    key = wheels_key(read_lock(), architecture)
    if (known := kept.find(key)) is not None:
        return known
    progress(f"fetching the wheels of the agent for {architecture}")
    with tempfile.TemporaryDirectory(prefix="dag-wheels-") as temporary:
        lock = Path(temporary) / "agent.lock"
        lock.write_bytes(read_lock())
        target = Path(temporary) / "target"
        _install(lock, target, architecture)
        entries = sorted(with_byte_code(_files(target)), key=lambda one: one.path)
        return kept.keep(key, Layer(tuple(entries), AGENT_ROOT))


def _install(lock: Path, target: Path, architecture: str) -> None:
    # https://docs.astral.sh/uv/reference/cli/#uv-pip-install
    command = [
        *(_uv(), "pip", "install", "--quiet", "--system-certs", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--link-mode", "copy", "--no-compile-bytecode"),
        *("--python", sys.executable, "--python-version", PYTHON),
        *("--python-platform", WHEEL_PLATFORMS[architecture]),
        *("--target", str(target), "--requirement", str(lock)),
    ]
    # What holds for the environment that dag runs in is nothing to this one.
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        command, env=kept, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-_TAIL:])
        raise InfrastructureError(
            f"the wheels of the agent for {architecture} cannot be fetched: {said}",
            hint="uv's settings, such as $UV_DEFAULT_INDEX, name another package index; where there"
            " is none, --agent-image names an image that `dag image` made elsewhere",
        )


def _uv() -> str:
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        raise InfrastructureError(
            "uv, which fetches the wheels of the agent, is not installed beside dag",
            hint="pip install uv, or name an image that `dag image` made elsewhere with --agent-image",
        ) from None


def _files(target: Path) -> Iterator[File]:
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target).as_posix()
        if path.is_file() and not path.is_symlink() and is_kept(name):
            yield File(name, path.stat().st_size, partial(_read, path))


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
