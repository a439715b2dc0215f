"""Where repositories and keys are that the user names, as this process and a workspace see them."""

from __future__ import annotations

import os
from pathlib import Path

from dag.core.build.options import BuildOptions
from dag.core.package.apkindex import repository_root
from dag.errors import UsageError


def roots(options: BuildOptions) -> list[str]:
    """Return the repositories that `-r` names, each as the directory above its architectures."""
    return [repository_root(one) for one in options.repositories]


def absolute_location(item: str) -> str:
    """Return a URL as it is, and a path as an absolute one.

    Raises:
        UsageError: there is nothing at the path.

    """
    if "://" in item:
        return item
    path = Path(item)
    if not path.exists():
        raise UsageError(f"{item}: there is no such file or directory")
    return os.fspath(path.resolve())


def location_from_workspace(directory: Path, item: str) -> str:
    """Return a place as melange knows it in a workspace: what is in the directory is there, too."""
    path = absolute_location(item)
    if "://" in path or not Path(path).is_relative_to(directory.resolve()):
        return path
    return f"./{Path(path).relative_to(directory.resolve())}"


def public_half_of(key: Path) -> Path:
    """Return the path of the public half of a key."""
    return key.with_name(f"{key.name}.pub")


def require_public_half(options: BuildOptions) -> Path | None:
    """Return the key that signs, if the user gave one; its public half is beside it.

    Raises:
        UsageError: that is missing.

    """
    key = Path(options.signing_key) if options.signing_key else None
    if key is not None and not public_half_of(key).is_file():
        raise UsageError(
            f"{key} has no public half {key.name}.pub beside it",
            hint=f"make it with: openssl rsa -in {key} -pubout -out {key}.pub",
        )
    return key
