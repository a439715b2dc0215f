"""Writes entries of a directory as a tar archive whose bytes depend on nothing but the entries.

Times and owners are 0, modes are 0644 or 0755. Headers are written here, because those of Python's
tarfile differ between its versions: ustar, with a pax header before it for what ustar cannot hold.
https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Struct

from dag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_OCTAL_SIZE_LIMIT = 1 << 33
_NAME_LIMIT = 100
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_ZERO, _TIME, _NO_CHECKSUM = b"0" * 7, b"0" * 11, b" " * 8

_FILE, _SYMLINK, _DIRECTORY, _PAX = b"0", b"2", b"5", b"x"


@dataclass(frozen=True, slots=True)
class File:
    """A file: its path in the bundle, its size in bytes, and a way to read it more than once."""

    path: str
    size: int
    read: Callable[[], Iterable[bytes]] = field(compare=False, repr=False)
    executable: bool = False


class Symlink(Struct, frozen=True):
    """A symbolic link, which is stored as one; `target` is written as it is in the link."""

    path: str
    target: str


class Directory(Struct, frozen=True):
    """An empty directory; those above another entry are made for it."""

    path: str


Entry = File | Symlink | Directory


def file_of(path: str, data: bytes, *, executable: bool = False) -> File:
    """Return a file of bytes that are at hand."""
    return File(path, len(data), lambda: (data,), executable)


def archive(entries: tuple[Entry, ...], root: str) -> Iterator[bytes]:
    """Write entries, in their order, as a tar archive below the directory `root`.

    The directories above the entries come with them, so that each archive can be read alone, and
    a directory has the same mode and time whatever order archives are unpacked in.

    Raises:
        UsageError: a file gave more or fewer bytes than its size.

    """
    for entry in _with_parents(entries):
        yield _entry_header(entry, root)
        if isinstance(entry, File):
            size = 0
            for data in entry.read():
                size += len(data)
                yield data
            if size != entry.size:
                raise changed_error(entry.path)
            if padding := -size % _BLOCK:
                yield bytes(padding)
    yield _END


def archive_size(entries: tuple[Entry, ...], root: str) -> int:
    """Return how many bytes `archive` will write, without reading a file."""
    size = len(_END)
    for entry in _with_parents(entries):
        size += _header_size(entry, root)
        if isinstance(entry, File):
            size += entry.size + -entry.size % _BLOCK
    return size


def changed_error(path: str) -> UsageError:
    """Return the error for a file that was written to while it was read."""
    return UsageError(
        f"{path} changed while it was read", hint="run again when nothing writes there"
    )


def parents(path: str) -> Iterator[str]:
    """Return the directories above a path, outermost first."""
    end = path.find("/")
    while end != -1:
        yield path[:end]
        end = path.find("/", end + 1)


def _with_parents(entries: tuple[Entry, ...]) -> Iterator[Entry]:
    yield Directory("")
    named = {""}
    for entry in entries:
        for parent in parents(entry.path):
            if parent not in named:
                named.add(parent)
                yield Directory(parent)
        if entry.path not in named:
            named.add(entry.path)
            yield entry


def _entry_header(entry: Entry, root: str) -> bytes:
    match entry:
        case File(path, size, _, executable):
            return _header(
                _stored_name(root, path), 0o755 if executable else 0o644, _FILE, size=size
            )
        case Symlink(path, target):
            return _header(_stored_name(root, path), 0o777, _SYMLINK, target=target.encode())
        case Directory(path):
            return _header(_stored_name(root, path) + b"/", 0o755, _DIRECTORY)


def _header_size(entry: Entry, root: str) -> int:
    # The ordinary case without making the header, as every file would pay for it twice.
    if isinstance(entry, File) and entry.size < _OCTAL_SIZE_LIMIT:
        stored = f"{root}/{entry.path}"
        if len(stored) <= _NAME_LIMIT and stored.isascii():
            return _BLOCK
    return len(_entry_header(entry, root))


def _stored_name(root: str, path: str) -> bytes:
    return f"{root}/{path}".rstrip("/").encode()


def _header(name: bytes, mode: int, kind: bytes, *, size: int = 0, target: bytes = b"") -> bytes:
    records = b""
    if len(target) > _NAME_LIMIT or not target.isascii():
        records += _record(b"linkpath", target)
    if len(name) > _NAME_LIMIT or not name.isascii():
        records += _record(b"path", name)
    if size >= _OCTAL_SIZE_LIMIT:
        records += _record(b"size", b"%d" % size)
        size = 0
    header = _ustar(name[:_NAME_LIMIT], mode, kind, size, target[:_NAME_LIMIT])
    if not records:
        return header
    pax = _ustar(b"././@PaxHeader", 0o644, _PAX, len(records), b"")
    return pax + records + bytes(-len(records) % _BLOCK) + header


def _ustar(name: bytes, mode: int, kind: bytes, size: int, target: bytes) -> bytes:
    fields = (name, b"%07o" % mode, _ZERO, _ZERO, b"%011o" % size, _TIME)
    ends = (kind, target, b"ustar\x0000", b"", b"", _ZERO, _ZERO, b"")
    # The sum of the header's bytes, its own field taken as spaces; the rest of it is zeros.
    total = sum(b"".join((*fields, _NO_CHECKSUM, *ends)))
    return _HEADER.pack(*fields, b"%06o\0 " % total, *ends)


def _record(key: bytes, value: bytes) -> bytes:
    # A record starts with its own length, the digits of that length included.
    rest = b" %s=%s\n" % (key, value)
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)
