"""Where the repositories and keyrings are that the flags of a build name, here and in a workspace."""

from __future__ import annotations

import os
from pathlib import Path

from dag.core.build.options import BuildOptions
from dag.core.package.apkindex import repository_root
from dag.errors import UsageError

OUTPUT = "packages"
"""Where a build puts its packages in a workspace, so that nothing can be linked there."""
KEYS = "../keys"
"""Where, seen from a workspace, the keys from outside of the directory are linked.

melange writes the paths of keys into packages, which are to tell nothing of the machine.
"""


def named_places(options: BuildOptions) -> dict[str, str]:
    """Return the repositories that are named: as melange gets each → a URL, or where it is here.

    Raises:
        UsageError: one is not there, or melange would not take it.

    """
    directory = Path(options.directory)
    roots = [repository_root(one) for one in options.repositories]
    return {location_in_workspace(directory, one): absolute_location(one) for one in roots}


def linked_paths(options: BuildOptions, store: Path) -> dict[str, Path]:
    """Return the repositories inside of the directory, and the keyrings, by their paths in a workspace.

    Raises:
        UsageError: one is not there, or is the store.

    """
    root = Path(options.directory).resolve()
    found = {}
    for item in options.keyrings:
        if (name := keyring_in_workspace(root, item)).startswith(KEYS):
            found[name] = Path(absolute_location(item))
    for item in (*map(repository_root, options.repositories), *options.keyrings):
        if "://" not in item:
            path = Path(absolute_location(item))
            if path == store:
                raise UsageError(
                    f"-r {item} is the store itself, which is always asked: leave it out"
                )
            if path != root and is_linked(root, path):
                found[os.fspath(path.relative_to(root))] = path
    # One that lies inside of another comes with that.
    return {
        name: path
        for name, path in found.items()
        if not any(name.startswith(f"{other}/") for other in found)
    }


def is_linked(root: Path, path: Path) -> bool:
    """Return whether a workspace can have a link to `path`, because it is inside of the directory `root`."""
    return path.is_relative_to(root) and path.relative_to(root).parts[:1] != (OUTPUT,)


def absolute_location(item: str) -> str:
    """Return a URL as it is, and a path as an absolute one.

    Raises:
        UsageError: it is not there.

    """
    if "://" in item:
        return item
    path = Path(item)
    if not path.exists():
        raise UsageError(
            f"{item}: there is no such file or directory",
            hint="-r and --keyring take paths relative to where dag runs, or URLs",
        )
    return os.fspath(path.resolve())


def location_in_workspace(directory: Path, item: str) -> str:
    """Return where a build finds a repository: what is inside of `directory` is linked.

    Raises:
        UsageError: it is not there.

    """
    path, root = absolute_location(item), directory.resolve()
    if "://" in path or not is_linked(root, Path(path)):
        return path
    return f"./{Path(path).relative_to(root)}"


def keyring_in_workspace(directory: Path, item: str) -> str:
    """Return where a build finds a keyring, which is linked wherever it is on this machine.

    Raises:
        UsageError: it is not there.

    """
    found = location_in_workspace(directory, item)
    return f"{KEYS}/{Path(found).name}" if Path(found).is_absolute() else found
