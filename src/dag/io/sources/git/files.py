"""The files of a bare repository, read as they are: git would stumble over damaged ones.

git takes orders from a repository: `config` and `hooks` name programs to run, `commondir`,
`objects/info/alternates` and links lead it elsewhere. So it is only run in one that has nothing but
what this module allows, with a `config` that this module has written.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from dag.core.limits import GIT_STATE
from dag.core.sources.checkouts import is_commit, is_ref
from dag.core.sources.gitstate import STATE_FILE, VerifiedState, parse
from dag.io import durable
from dag.io.files import make_directory, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dag.io.sources.records import Records

NOWHERE = "ref: refs/heads/dag-none"
"""A HEAD whose branch does not exist, until something wants to be the default."""
_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
_DIRECTORY = re.compile(r"refs(?:/(?:heads|tags|dag)(?:/.+)?)?|objects(?:/(?:pack|info))?")
_FILE = re.compile(
    r"HEAD|config|packed-refs|shallow|dag\.json|gitconfig|refs/(?:heads|tags|dag)/.+"
    r"|objects/pack/(?:pack-[0-9a-f]+\.(?:pack|idx)|tmp_[^/]+)"
)
_LEFT = re.compile(r"(?:.+/)?[^/]+\.lock|packed-refs\.new|\.tmp-[0-9a-f]+|objects/pack/[^/]+\.keep")
"""The files that a killed git or dag leaves; one of git's locks would be in the way for ever."""
_LINES = {
    "packed-refs": re.compile(rb"#.*|\^[0-9a-f]{40}|[0-9a-f]{40} refs/(?:heads|tags|dag)/.+"),
    "shallow": re.compile(rb"[0-9a-f]{40}"),
}
"""The files of a repository that have lines, and what each line must be."""
_UNFINISHED = "tmp_"
"""How git begins the names of files that a transfer writes."""


class RepositoryFiles:
    """The files of one repository of the cache."""

    def __init__(self, directory: Path, records: Records, root: Path) -> None:
        """Take the repository, and the cache's directory, below which files are recorded."""
        self.directory = directory
        self._records = records
        self._root = root

    def lay(self) -> bool:
        """Make the repository if it is not there, and return whether git may be run in it.

        Raises:
            OSError: it cannot be written.

        """
        directory = make_directory(self._root, self.directory.relative_to(self._root))
        if not self._clean("", directory):
            return False
        for name in ("objects/pack", "refs/heads"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        durable.write_changed(directory / "config", _CONFIG, lasting=False)
        if not (directory / "HEAD").exists():
            durable.write(directory / "HEAD", f"{NOWHERE}\n".encode(), lasting=False)
        return True

    def _clean(self, prefix: str, directory: Path) -> bool:
        """Remove what killed processes left; return whether all else is of the kinds that belong."""
        with os.scandir(directory) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    inside = directory / entry.name
                    if not (_DIRECTORY.fullmatch(name) and self._clean(f"{name}/", inside)):
                        return False
                elif not entry.is_file(follow_symlinks=False):
                    return False
                elif _LEFT.fullmatch(name):
                    (directory / entry.name).unlink()
                elif not _FILE.fullmatch(name):
                    return False
        return True

    def read_state(self) -> VerifiedState:
        """Return what `dag.json` says was verified.

        Raises:
            OSError: it cannot be read.
            ValueError: it is none.

        """
        path = self.directory / STATE_FILE
        return parse(read_bytes(path, GIT_STATE)) if path.exists() else VerifiedState()

    def write_state(self, state: VerifiedState) -> None:
        """Write `dag.json`, if it says something else."""
        durable.write_changed(self.directory / STATE_FILE, state.text().encode())

    def are_readable(self, refs: Iterable[str]) -> bool:
        """Return whether the small files are what git expects, those of `refs` included.

        Raises:
            OSError: one cannot be read.
            ValueError: one is no text, or too large.

        """
        directory = self.directory
        head = self._text("HEAD")
        branch = head.removeprefix("ref: ")
        if not is_commit(head) and (branch == head or not is_ref(branch)):
            return False
        for name, line in _LINES.items():
            if (directory / name).exists():
                lines = read_bytes(directory / name, GIT_STATE).splitlines()
                if not all(map(line.fullmatch, lines)):
                    return False
        # One that is gone is fetched again; one that is no hash would be in git's way.
        loose = [name for name in refs if name != "HEAD" and (directory / name).is_file()]
        return all(is_commit(self._text(name)) for name in loose)

    def resolve(self, ref: str) -> str | None:
        """Return what a ref's file says: git's own answer, without a process for each."""
        with suppress(OSError, ValueError):
            return self._text(ref)
        with suppress(OSError, ValueError):
            packed = read_bytes(self.directory / "packed-refs", GIT_STATE)
            for line in packed.splitlines():
                if line.endswith(f" {ref}".encode()):
                    return line.partition(b" ")[0].decode()
        return None

    def objects(self) -> Iterator[Path]:
        """Return the files that hold objects, but those that a transfer has not finished."""
        objects = self.directory / "objects"
        for parent, _, names in os.walk(objects):
            for name in sorted(names):
                if not name.startswith(_UNFINISHED):
                    yield type(objects)(parent) / name

    def are_vouched_for(self) -> bool:
        """Return whether every file that holds objects is as it was when it was verified."""
        return all(map(self._is_vouched_for, self.objects()))

    def record(self) -> int:
        """Note that the files that hold objects are verified, and return their size in bytes."""
        size = 0
        for path in self.objects():
            status = path.stat()
            size += status.st_size
            self._records.add(path.relative_to(self._root).as_posix(), status)
        return size

    def remove_unfinished(self) -> int:
        """Remove what broken transfers left; return the size of the largest file in bytes."""
        largest = 0
        for leftover in (self.directory / "objects" / "pack").glob(f"{_UNFINISHED}*"):
            largest = max(largest, leftover.stat().st_size)
            leftover.unlink()
        return largest

    def _is_vouched_for(self, path: Path) -> bool:
        with suppress(FileNotFoundError):
            return self._records.vouch(path.relative_to(self._root).as_posix(), path.stat())
        return False

    def _text(self, name: str) -> str:
        return read_bytes(self.directory / name, GIT_STATE).decode().strip()
