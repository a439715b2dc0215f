"""Takes out of a workspace what a definition promises, if it is there and is that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath

from dag.core.arch import Arch
from dag.core.package.apk import BrokenPackage, require_promised
from dag.core.package.differing import differing_fields
from dag.core.package.model import Package
from dag.core.store.records import Record
from dag.io.package.prover import open_inside
from dag.io.store.blobs import Blobs, StagedApk
from dag.run.build.places import OUTPUT


@contextmanager
def staged_promises(
    blobs: Blobs, place: Path, package: Package, arch: Arch
) -> Iterator[Mapping[str, StagedApk]]:
    """Copy all packages that a definition promises out of the workspace in `place`, and read them.

    Yields them by the names of their files, and removes the copies in the end.

    Raises:
        BrokenPackage: one is missing, or is not what its name says.
        OSError: the store has no room for them, for example.

    """
    below = PurePath("workspace", OUTPUT, arch.apk)
    staged: dict[str, StagedApk] = {}
    try:
        for name in package.promised:
            file = f"{name}-{package.full_version}.apk"
            with ExitStack() as opened:
                try:
                    source = opened.enter_context(open_readable(place, below / file))
                except FileNotFoundError:
                    raise BrokenPackage(f"make ended well but built no {file}") from None
                staged[file] = blobs.stage_file(source, file)
            require_promised(name, package, arch, staged[file].apk)
        yield staged
    finally:
        blobs.discard(staged.values())


def find_differences(
    blobs: Blobs, first: Record, staged: Mapping[str, StagedApk]
) -> tuple[str, ...]:
    """Return, in words, what is different in packages that were built again: a line for each one."""
    lines = []
    for file, before in sorted(first.files.items()):
        after = staged[file]
        if after.apk.sha256 == before.sha256:
            continue
        told = list(differing_fields(before, after.apk))
        if after.apk.data_hash != before.data_hash:
            try:
                told.append(blobs.compare(before, after) or "its data is packed in another way")
            except (BrokenPackage, OSError):  # what differs stays unknown, and not that it does
                told.append("its data differs")
        lines.append(f"{file}: {'; '.join(told or ['its control section differs'])}")
    return tuple(lines)


@contextmanager
def open_readable(place: Path, path: PurePath) -> Iterator[int]:
    """Open a file below `place` that a build wrote, as `open_inside` does.

    Raises:
        BrokenPackage: it is no ordinary file, or the build lets nobody read it, which tells it from
            a store that cannot be read.
        FileNotFoundError: there is nothing.

    """
    with ExitStack() as opened:
        try:
            source = opened.enter_context(open_inside(place, path))
        except PermissionError:
            raise BrokenPackage(f"the build lets nobody read {path.name}") from None
        yield source
