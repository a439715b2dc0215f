"""Takes what a build wrote: by name, without following links, as copies that it cannot change."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from dag.core.limits import BUILT_PACKAGE, Limit, TooLarge
from dag.core.package.apk import BrokenPackage
from dag.io.package.prover import copy_bytes, open_inside

_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_.~-]{0,250}\.apk")
_FILES = Limit("a directory of packages", 100_000, "files")


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file of a build, and the copy that counts from now on."""

    name: str
    """Its path in the workspace."""
    copy: Path


def package_names(workspace: Path, arch: str) -> list[str]:
    """Return the names of the files that a build left as packages of an architecture, sorted.

    A directory that is behind a link has none.

    Raises:
        TooLarge: there are too many files.

    """
    at = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in ("packages", arch):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            above, at = at, os.open(part, flags, dir_fd=at)
            os.close(above)
        names = os.listdir(at)  # noqa: PTH208  # there is no path to a descriptor
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        # Of a link, Linux says ENOTDIR or ELOOP.
        if error.errno == errno.ELOOP:
            return []
        raise
    finally:
        os.close(at)
    _FILES.check(len(names), f"packages/{arch}")
    return sorted(name for name in names if _PACKAGE.fullmatch(name))


def take(workspace: Path, name: str, target: Path, limit: Limit = BUILT_PACKAGE) -> TakenFile:
    """Copy a file of the workspace.

    Raises:
        FileNotFoundError: it is not there.
        BrokenPackage: it is no ordinary file, behind a link, or too large.
        OSError: it cannot be read, or the copy cannot be written.

    """
    with open_inside(workspace, PurePath(name)) as source:
        try:
            limit.check(os.fstat(source).st_size, name)
        except TooLarge as error:
            raise BrokenPackage(str(error)) from None
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        copy = os.open(target, flags, 0o600)
        try:
            copy_bytes(source, copy)
        finally:
            os.close(copy)
    return TakenFile(name, target)


def take_packages(workspace: Path, arch: str, target: Path) -> Iterator[TakenFile | str]:
    """Copy the packages of a build; where that does not go, yield the reason in words."""
    for name in package_names(workspace, arch):
        path = f"packages/{arch}/{name}"
        try:
            yield take(workspace, path, target / name)
        except BrokenPackage as error:
            yield f"{path}: {error}"
        except FileNotFoundError:
            yield f"{path} is not there any more"
