"""The private directory in which one attempt builds: what of the tree it needs, and packages."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dag.core.archive import Directory, Entry, File, Symlink
from dag.core.definitions import Package
from dag.io import durable


@dataclass(frozen=True, slots=True)
class Parts:
    """The entries of a directory of definitions, by who needs them."""

    common: tuple[Entry, ...]
    """Makefile, pipelines and whatever else belongs to no package."""
    own: Mapping[str, tuple[Entry, ...]]
    """Package → its definition, and the files below the directory of its name."""

    def of(self, package: str) -> tuple[Entry, ...]:
        """What a package is built from."""
        return (*self.common, *self.own[package])


def split(entries: Iterable[Entry], packages: Iterable[Package]) -> Parts:
    """Tell what belongs to which package: FILE.yaml, and everything below NAME/."""
    own: dict[str, list[Entry]] = {}
    owner: dict[str, str] = {}
    for package in packages:
        own[package.name] = []
        owner[package.file] = package.name
        owner[f"{package.name}/"] = package.name
        owner.setdefault(f"{package.file.removesuffix('.yaml')}/", package.name)
    common: list[Entry] = []
    for entry in entries:
        top, slash, _ = entry.path.partition("/")
        if isinstance(entry, Directory):
            slash = "/"
        name = owner.get(top + slash)
        (common if name is None else own[name]).append(entry)
    return Parts(tuple(common), {name: tuple(found) for name, found in own.items()})


def fingerprints(parts: Parts, packages: Iterable[Package]) -> dict[str, str]:
    """Hash what each package is built from: its own entries, its pipelines, its build options."""
    shared = {entry.path: entry for entry in parts.common}
    hashed = {}
    for package in packages:
        paths = (f"pipelines/{uses}.yaml" for uses in package.pipelines)
        used = [shared[path] for path in sorted(paths) if path in shared]
        hashed[package.name] = fingerprint((*parts.own[package.name], *used), package.options)
    return hashed


def fingerprint(entries: Iterable[Entry], options: Iterable[str] = ()) -> str:
    """Hash what a package of its own is built from: SHA-256, in hex."""
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
    entries: Sequence[Entry],
    packages: Iterable[Path],
    below: str,
    links: Mapping[str, Path],
) -> None:
    """Make a workspace at the new directory `place`: the entries, and `packages` in `below`.

    Files are written anew, so that nothing a build does to them reaches the user's; packages are
    hard links to the store's, because melange and make only read them. `links` become symbolic.

    Raises:
        OSError: there is no room, or the like.
        UsageError: a file changed while it was read.

    """
    place.mkdir(parents=True)
    root = os.fspath(place)
    made = {""}
    for entry in entries:
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
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
    repository = place / below
    repository.mkdir(parents=True)
    for package in packages:
        durable.link(package, repository / package.name)
