"""Reads tar archives that strangers made: one member after the other, within limits.

ustar, GNU's long names and pax attributes; nothing else that an archive can ask for is done. Unlike
Python's tarfile it keeps no list of members, believes no size of a header's attributes, and refuses
sparse files, of which a few bytes can be gigabytes.
https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dag.core.limits import ArchiveLimits

_BLOCK = 512
_PIECE = 1 << 20
"""Bytes that are read at once of a member that is passed over."""
_FILES = frozenset({b"0", b"\0", b"7"})
_WITHOUT_CONTENT = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})
"""Links, devices, directories and pipes: nothing follows them, whatever their size says."""
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"
_SPARSE = b"S"
_LARGEST = 1 << 62


class BrokenArchive(ValueError):
    """The bytes are no tar archive, or only a part of one; says why, without naming the file."""


class Member(Struct, frozen=True):
    """One member of an archive: its name as it is written, and its size in bytes."""

    name: str
    size: int
    is_file: bool
    """An ordinary file, and no link, directory or device."""
    has_attributes: bool = False
    """Its name or its size is not the one in its own header, but another header's."""
    header: bytes = b""
    """Its own header, as it is written."""


class _Attributes(Struct):
    """The attributes that headers give the member that follows them."""

    name: bytes | None = None
    size: int | None = None


class TarReader:
    """The members of an archive that comes from `read`, in their order.

    While a member is the latest that the iteration gave, `blocks` reads it.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        limits: ArchiveLimits,
        where: str,
        *,
        joined: bool = False,
    ) -> None:
        """Take a function that returns at most so many bytes, and none at the end.

        `where` is for messages. `joined` reads on behind an archive's end, where another follows.
        """
        self._read = read
        self._limits = limits
        self._where = where
        self._joined = joined
        self._count = 0
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Read the headers of the members.

        Raises:
            BrokenArchive: it is no archive, ends too early, or has a sparse file.
            TooLarge: it is over one of the limits.

        """
        attributes = _Attributes()
        while (header := self._header()) is not None:
            self._count += 1
            self._limits.members.check(self._count, self._where)
            kind, size = header[156:157], _number(header[124:136])
            if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
                self._limits.header.check(size, self._where)
                self._begin(size)
                data = b"".join(self.blocks())
                self._skip()
                if kind == _LONG_NAME:
                    attributes.name = data.rstrip(b"\0")
                elif kind == _PAX:
                    _apply(data, attributes)
                continue
            if kind == _SPARSE:
                raise BrokenArchive("it has a sparse file")
            name = _name(header) if attributes.name is None else attributes.name
            size = size if attributes.size is None else attributes.size
            is_file = kind in _FILES and not name.endswith(b"/")
            self._begin(0 if kind in _WITHOUT_CONTENT else size)
            yield Member(
                name.decode(errors="surrogateescape"),
                self._left,
                is_file,
                has_attributes=attributes != _Attributes(),
                header=header,
            )
            self._skip()
            attributes = _Attributes()

    def blocks(self) -> Iterator[bytes]:
        """Return what is left of the latest member, in pieces.

        Raises:
            BrokenArchive: the archive ends within it.

        """
        while data := self._read_some():
            yield data

    def _begin(self, size: int) -> None:
        self._left, self._padding = size, -size % _BLOCK

    def _read_some(self) -> bytes:
        if not self._left:
            return b""
        data = self._read(min(self._left, _PIECE))
        if not data:
            raise BrokenArchive("it ends too early")
        self._left -= len(data)
        return data

    def _skip(self) -> None:
        while self._read_some():
            pass
        self._left, self._padding = self._padding, 0
        while self._read_some():
            pass

    def _header(self) -> bytes | None:
        """Read the next header; None at the end, which is a block of zeros or just the end."""
        while (header := self._block()) is not None and not any(header):
            if not self._joined:
                return None
        if header is None:
            return None
        # The sum of the header's bytes, its own field taken as spaces.
        if sum(header[:148]) + 8 * 0x20 + sum(header[156:]) != _number(header[148:156]):
            raise BrokenArchive("a header's checksum is wrong")
        return header

    def _block(self) -> bytes | None:
        block = b""
        while len(block) < _BLOCK:
            data = self._read(_BLOCK - len(block))
            if not data:
                if block or not self._count:
                    raise BrokenArchive("it ends too early")
                return None
            block += data
        return block


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return b"/".join((prefix, name)) if prefix else name


def _number(field: bytes) -> int:
    """Read octal digits, or GNU's base 256, which begins with the highest bit."""
    if field[0] & 0x80:
        number = int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:])
    else:
        text = field.partition(b"\0")[0].strip(b" ")
        if text.strip(b"01234567"):
            raise BrokenArchive("a header has a number that is none")
        number = int(text or b"0", 8)
    if number > _LARGEST:
        raise BrokenArchive("a header has a size that cannot be")
    return number


def _apply(data: bytes, attributes: _Attributes) -> None:
    """Take the name and the size from pax records, each `LENGTH KEY=VALUE` and a newline."""
    position = 0
    while position < len(data) and data[position]:
        digits = data[position : position + 20].partition(b" ")[0]
        if not digits.isdigit():
            raise BrokenArchive("its attributes are no pax records")
        end = position + int(digits)
        key, equals, value = data[position + len(digits) + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or data[end - 1 : end] != b"\n":
            raise BrokenArchive("its attributes are no pax records")
        if key.startswith(b"GNU.sparse."):
            raise BrokenArchive("it has a sparse file")
        if key == b"path":
            attributes.name = value
        elif key == b"size":
            if not value.isdigit() or len(value) > 19 or int(value) > _LARGEST:
                raise BrokenArchive("its attributes have a size that cannot be")
            attributes.size = int(value)
        position = end
