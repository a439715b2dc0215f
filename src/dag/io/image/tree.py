"""Finds the entries of a bundle in a directory, and reports what was left out."""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from dag.core.image.archive import Directory, Entry, File, Symlink, changed_error, parents
from dag.core.image.ignore import Pattern, Patterns, compile_pattern, parse_patterns
from dag.core.image.keys import may_hold_key
from dag.core.image.secrets import (
    CREDENTIALS,
    PRIVATE_KEY,
    secret_content,
    secret_directory,
    secret_name,
)
from dag.core.limits import IGNORE_FILE
from dag.errors import UsageError
from dag.io.files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IGNORE_FILES = (".dockerignore", ".dagignore")
"""The ignore files, in their order: where they disagree, the later one decides."""

BUILT = {"packages": "built packages", "cache": "fetched sources"}
"""The directories at the top that make and `dag cache` fill, and what is in them."""

OUT_MARK = ".dag-out"
"""A file in each directory that `dag pod --out` has filled: that is no part of the next bundle."""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}
_CHUNK = 1 << 20
_KEPT_BYTES = 1 << 26
"""Bytes of small files that are kept from when they were looked at until they are stored."""

_SECRETS = frozenset((PRIVATE_KEY, CREDENTIALS))
_LONGEST_KEY = 1 << 26
"""Bytes of a file that begins like PEM; one that has more is taken for a key unread."""


class LeftOut(Struct, frozen=True):
    """A path that is not in the bundle, nor anything below it, and the reason for that."""

    path: str
    reason: str


@dataclass(frozen=True)
class DirectoryTree:
    """The entries of a directory, and what was left out of it, both sorted by path."""

    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]

    def notes(self) -> list[str]:
        """Return what to say of what was left out: a line for each secret and each other reason."""
        keys = [
            f"left out {out.path}: {out.reason}" for out in self.left_out if out.reason in _SECRETS
        ]
        others = [out for out in self.left_out if out.reason not in _SECRETS]
        counts = Counter(out.reason for out in others)
        first = {out.reason: out.path for out in reversed(others)}
        return keys + [
            f"left out {first[reason]}{f' and {count - 1} more' if count > 1 else ''}: {reason}"
            for reason, count in counts.items()
        ]


class _Reason(Struct, frozen=True):
    """The reason why a path is left out; something below it may come in if `descend`."""

    reason: str
    descend: bool = False


class _Stamp(Struct, frozen=True):
    """The marks by which a file that was found is known again."""

    size: int
    mtime_ns: int
    inode: int
    device: int
    mode: int


@dataclass
class _Rules:
    """The rules of what a walk leaves out."""

    ignored: Patterns
    included: list[Pattern]
    matched: set[str] = field(default_factory=set)

    def reason(self, path: str, name: str) -> _Reason | None:
        if name == ".git":
            return _Reason("the repository's history")
        for pattern in self.included:
            if any(map(pattern.matches, (*parents(path), path))):
                self.matched.add(pattern.text)
                return None
        if (top := path.partition("/")[0]) in BUILT:
            return _Reason(BUILT[top], bool(self.included))
        if ignored := self.ignored.match(path):
            descend = bool(self.included) or self.ignored.keeps_any
            return _Reason(f"{ignored.text} ({ignored.where})", descend)
        return None


def definitions_tree(directory: str | Path, *, include: Sequence[str] = ()) -> DirectoryTree:
    """Walk a directory of definitions.

    Left out are `.git`, private keys, credentials, and, where no pattern of `include` matches,
    `packages/`, `cache/`, directories with `OUT_MARK` and what the ignore files name. A key is never
    brought in, nor are credentials: the image may be public.

    Raises:
        UsageError: something cannot be read or stored, a link leaves the directory, an ignore file
            is malformed, or a pattern of `include` matches nothing.

    """
    root = Path(directory)
    ignored = Patterns()
    for name in IGNORE_FILES:
        ignored += _read_patterns(root / name, name)
    included = (compile_pattern(text, "--include") for text in include)
    rules = _Rules(ignored, [one for one in included if one is not None])
    walk = _Walk(root, rules)
    walk.walk()
    for text in include:
        if text not in rules.matched:
            raise UsageError(
                f"--include {text}: nothing in {root} matches",
                hint="write it as in .gitignore, relative to that directory",
            )
    return walk.tree()


def _read_patterns(path: Path, name: str) -> Patterns:
    try:
        return parse_patterns(read_text(path, IGNORE_FILE), name)
    except FileNotFoundError:
        return Patterns()
    except (OSError, UnicodeDecodeError) as error:
        raise _read_error(str(path), error) from error


class _Walk:
    """One walk through a directory, in the order of names."""

    def __init__(self, root: Path, rules: _Rules) -> None:
        # Plain strings: making a Path of each of thousands of names takes as long as reading them.
        self._root = str(root)
        self._rules = rules
        self._real_root = os.path.realpath(root)
        self._entries: list[Entry] = []
        self._left_out: list[LeftOut] = []
        self._kept = 0

    def tree(self) -> DirectoryTree:
        """Return what was found."""
        return DirectoryTree(tuple(self._entries), tuple(self._left_out))

    def walk(self) -> None:
        """Walk the directory and all below it, however deep that is."""
        open_ones = [self._directory("", stored=True)]
        while open_ones:
            path, entry = next(open_ones[-1], ("", None))
            if entry is None:
                open_ones.pop()
            elif (stored := self._entry(path, entry)) is not None:
                open_ones.append(self._directory(path, stored=stored))

    def _directory(self, path: str, *, stored: bool) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """List a directory, by its path from the root; `stored` if it is in the bundle itself."""
        full = f"{self._root}/{path}" if path else self._root
        try:
            with os.scandir(full) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise _read_error(full, error) from error
        if path and not self._rules.included and any(one.name == OUT_MARK for one in entries):
            self._left_out.append(LeftOut(f"{path}/", "what dag pod --out brought back"))
            return iter(())
        if path and stored and not entries:
            self._entries.append(Directory(path))
        return ((f"{path}/{entry.name}" if path else entry.name, entry) for entry in entries)

    def _entry(self, path: str, entry: os.DirEntry[str]) -> bool | None:
        """Take an entry; for a directory to be walked, return whether it is in the bundle itself."""
        is_directory = entry.is_dir(follow_symlinks=False)
        secret = secret_directory(entry.name) if is_directory else secret_name(path)
        if secret is not None:
            self._left_out.append(LeftOut(path + "/" * is_directory, secret))
            return None
        if left_out := self._rules.reason(path, entry.name):
            if is_directory and left_out.descend:
                return False
            self._left_out.append(LeftOut(path + "/" * is_directory, left_out.reason))
            return None
        _require_utf8(path, "the name")
        if is_directory:
            return True
        if entry.is_symlink():
            self._symlink(path, entry.path)
        else:
            self._file(path, entry)
        return None

    def _symlink(self, path: str, full: str) -> None:
        try:
            target = os.readlink(full)  # noqa: PTH115
        except OSError as error:
            raise _read_error(full, error) from error
        _require_utf8(target, f"the target of {path}")
        if self._leaves(path, target):
            raise UsageError(
                f"{full} is a link that leaves the directory: {target}",
                hint="replace it by what it points to, or name it in .dagignore",
            )
        self._entries.append(Symlink(path, target))

    def _leaves(self, path: str, target: str) -> bool:
        # By its words, as an absolute one or one through the directory's own name would lead
        # elsewhere in a pod; and as it resolves here, through other links.
        words = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120
        real = os.path.realpath(f"{self._root}/{path}")
        return (
            os.path.isabs(target)  # noqa: PTH117
            or words.split("/")[0] == ".."
            or os.path.commonpath([self._real_root, real]) != self._real_root
        )

    def _file(self, path: str, entry: os.DirEntry[str]) -> None:
        full = entry.path
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            raise _read_error(full, error) from error
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
            raise UsageError(
                f"{full} is {kind}, which a bundle cannot hold",
                hint="remove it, or name it in .dagignore",
            )
        read = partial(_read, full, path, _stamp_of(status))
        # Opened once, as opening 3,400 files again takes longer than compressing them.
        small = status.st_size <= _CHUNK
        data = b"".join(read()) if small else next(read())
        secret = None
        if not small and may_hold_key(data):
            if status.st_size > _LONGEST_KEY:
                secret = PRIVATE_KEY
            else:
                data = b"".join(read())
        if secret := secret or secret_content(data):
            self._left_out.append(LeftOut(path, secret))
            return
        if small and self._kept + len(data) <= _KEPT_BYTES:
            self._kept += len(data)
            read = partial(iter, (data,))
        executable = bool(status.st_mode & stat.S_IXUSR)
        self._entries.append(File(path, status.st_size, read, executable))


def _read(full: str, path: str, stamp: _Stamp) -> Iterator[bytes]:
    """Read a file, which must be the one that was found, and must not change meanwhile."""
    try:
        # A pipe that took the file's place would block, a link would lead elsewhere.
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if _stamp_of(os.fstat(descriptor)) != stamp:
                raise changed_error(path)
            left = stamp.size
            while left > 0 and (data := os.read(descriptor, min(left, _CHUNK))):
                left -= len(data)
                yield data
            if _stamp_of(os.fstat(descriptor)) != stamp or left:
                raise changed_error(path)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _read_error(full, error) from error


def _stamp_of(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev, status.st_mode)


def _require_utf8(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{what} {os.fsencode(text)!r} is no UTF-8, which a bundle needs",
            hint="rename it, or name its directory in .dagignore",
        ) from None


def _read_error(path: str, error: OSError | UnicodeDecodeError) -> UsageError:
    why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
    return UsageError(f"{path} cannot be read: {why}", hint="mend it, or name it in .dagignore")
