"""The private directory in which one attempt builds, and which part of the tree it gets."""

from __future__ import annotations

import hashlib
import os
import posixpath
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from dag.core.image.archive import Directory, Entry, File, Symlink
from dag.core.package.directory import Definitions
from dag.core.package.model import Package
from dag.run.build.common import common_entries

_NOBODY = ""
_MAX_LINKS = 40
"""The number of links that Linux follows before it takes them for a circle."""


class Parts(Struct, frozen=True):
    """The entries of a directory of definitions, by the packages that need them."""

    common: tuple[Entry, ...]
    """The Makefile, what it includes or names, and what the settings name."""
    pipelines: tuple[Entry, ...]
    """All pipelines of the directory: those that only tests use must be there, too."""
    own: Mapping[str, tuple[Entry, ...]]
    """For each package its definition, the files below the directory of its name, and what links
    among these lead to, in the order of their paths."""
    inputs: Mapping[str, tuple[Entry, ...]]
    """For each package the pipelines that it uses and its file of variables, wherever they are, with
    what links among these lead to. Those outside of the directory have absolute paths."""

    def of(self, package: str) -> Iterable[Entry]:
        """Return the entries from which a package is built."""
        inside = (one for one in self.inputs[package] if not one.path.startswith("/"))
        entries = (*self.common, *self.pipelines, *self.own[package], *inside)
        return {entry.path: entry for entry in entries}.values()

    def watched(self, package: Package) -> set[str]:
        """Return the paths of what is a package's own.

        A path that ends with a slash stands for all that is below it, and for what was.
        """
        paths = {package.file, f"{package.name}/", f"{package.file.removesuffix('.yaml')}/"}
        paths.update(entry.path for entry in self.own[package.name])
        paths.update(entry.path for entry in self.inputs[package.name])
        return paths


def split_by_package(entries: Iterable[Entry], found: Definitions, common: Sequence[str]) -> Parts:
    """Divide entries by the package to which they belong: FILE.yaml, and everything below NAME/.

    What belongs to a broken definition belongs to no package. Of the rest those are common that the
    Makefile names, and those that `common` does.

    Raises:
        UsageError: one of `common` names nothing.

    """
    owners = _owners(found)
    own: dict[str, list[Entry]] = {package.name: [] for package in found.packages}
    tree = _Tree(entries)
    others: list[Entry] = []
    pipelines: list[Entry] = []
    below = tuple(f"{root}/" for root in ("pipelines", *found.pipeline_roots))
    for entry in tree.entries:
        if entry.path.startswith("/"):
            continue
        top, slash, _ = entry.path.partition("/")
        if isinstance(entry, Directory):
            slash = "/"
        name = owners.get(top + slash)
        if name == _NOBODY:
            continue
        is_pipeline = entry.path.startswith(below) and entry.path.endswith(".yaml")
        if is_pipeline:
            pipelines.append(entry)
        if name is not None:
            own[name].append(entry)
        elif not is_pipeline:
            others.append(entry)
    used = {path for paths in found.inputs.values() for path in paths}
    entries_of = {path: tree.follow_links(tree.at(path)) for path in used}
    return Parts(
        tree.follow_links(common_entries(others, common)),
        tree.follow_links(pipelines),
        {name: tree.follow_links(mine) for name, mine in own.items()},
        {
            package.name: tuple(
                entry for path in found.inputs.get(package.file, ()) for entry in entries_of[path]
            )
            for package in found.packages
        },
    )


def _owners(found: Definitions) -> dict[str, str]:
    """Return the package to which each file and each directory at the top belongs; these end with `/`.

    What belongs to a broken definition is `_NOBODY`'s.
    """
    owners: dict[str, str] = {}
    for package in found.packages:
        owners[package.file] = package.name
        owners[f"{package.name}/"] = package.name
        owners.setdefault(f"{package.file.removesuffix('.yaml')}/", package.name)
    for one in found.broken:
        stem = one.file.removesuffix(".yaml")
        owners.setdefault(one.file, _NOBODY)
        if stem != "pipelines":
            owners.setdefault(f"{stem}/", _NOBODY)
    return owners


class _Tree:
    """The entries of a directory, and where its links lead. None leads outside."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = sorted(entries, key=lambda entry: entry.path)
        self._paths = [entry.path for entry in self.entries]
        self._links = {e.path: e.target for e in self.entries if isinstance(e, Symlink)}

    def at(self, path: str) -> list[Entry]:
        """Return the entry at `path` and those below it, and the links that lead there."""
        found: list[Entry] = []
        for _ in range(_MAX_LINKS):
            link = self._link_in(path)
            if link is None:
                break
            found.append(self._entry(link))
            rest = path.removeprefix(link)
            path = posixpath.normpath(posixpath.join(link, "..", self._links[link])) + rest
        begin = bisect_left(self._paths, path)
        if begin < len(self._paths) and self._paths[begin] == path:
            found.append(self.entries[begin])
        below = f"{path}/"
        begin, end = bisect_left(self._paths, below), bisect_left(self._paths, f"{path}0")
        return found + self.entries[begin:end]  # "0" comes after "/"

    def follow_links(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """Return `entries`, and what the links among them lead to, directly or by further links."""
        found = {entry.path: entry for entry in entries}
        todo = [entry for entry in found.values() if isinstance(entry, Symlink)]
        while todo:
            for entry in self.at(todo.pop().path):
                if entry.path not in found:
                    found[entry.path] = entry
                    if isinstance(entry, Symlink):
                        todo.append(entry)
        return tuple(found[path] for path in sorted(found))

    def _entry(self, path: str) -> Entry:
        return self.entries[bisect_left(self._paths, path)]

    def _link_in(self, path: str) -> str | None:
        if not self._links:
            return None
        end = path.find("/")
        while end != -1:
            if path[:end] in self._links:
                return path[:end]
            end = path.find("/", end + 1)
        return path if path in self._links else None


def fingerprints(parts: Parts, packages: Iterable[Package]) -> dict[str, str]:
    """Return a hash of what each package is built from: entries, inputs, build options."""
    return {
        package.name: fingerprint(
            (*parts.own[package.name], *parts.inputs[package.name]), package.options
        )
        for package in packages
    }


def fingerprint(entries: Iterable[Entry], options: Iterable[str] = ()) -> str:
    """Return the SHA-256, in hex, of the entries and options from which a package is built."""
    digest = hashlib.sha256()
    for entry in entries:
        match entry:
            case File(path, size, read, executable):
                digest.update(f"file {len(path)} {path} {size} {executable}\n".encode())
                for data in read():
                    digest.update(data)
            case Symlink(path, target):
                digest.update(f"link {len(path)} {path} {target}\n".encode())
            case Directory(path):
                digest.update(f"directory {path}\n".encode())
    for name in sorted({*options}):
        digest.update(f"option {len(name)} {name}\n".encode())
    return digest.hexdigest()


def lay_out(
    place: Path,
    entries: Iterable[Entry],
    links: Mapping[str, Path],
) -> None:
    """Make a workspace of the entries at the new directory `place`.

    Files are copies, so that nothing that a build does to them reaches the user's own. `links`
    become symbolic links.

    Raises:
        OSError: the disk is full, or cannot be written for another reason.
        UsageError: a file changed while it was read.

    """
    place.mkdir(parents=True)
    root = os.fspath(place)
    made = {""}
    for entry in entries:
        if entry.path in links:  # a public key, for example, that somebody has committed
            continue
        parent = entry.path if isinstance(entry, Directory) else os.path.dirname(entry.path)  # noqa: PTH120
        if parent not in made:
            os.makedirs(f"{root}/{parent}", exist_ok=True)  # noqa: PTH103
            made.add(parent)
        match entry:
            case File(path, _, read, executable):
                mode = 0o755 if executable else 0o644
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                descriptor = os.open(f"{root}/{path}", flags, mode)
                with os.fdopen(descriptor, "wb", buffering=0) as file:
                    for data in read():
                        file.write(data)
            case Symlink(path, target):
                os.symlink(target, f"{root}/{path}")  # noqa: PTH211
            case Directory():
                pass
    for name, source in links.items():
        link = place / name
        if os.path.dirname(name) not in made:  # noqa: PTH120
            link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
