"""Lines out of bytes that come in pieces, in time that grows with the bytes and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dag.core.limits import Limit


class LineSplitter:
    """A splitter of bytes into lines, which end at a newline and at nothing else.

    A line that is longer than the limit is given in pieces, each as long as the limit: so a stream
    without a newline costs no more memory than that, and nothing of it is lost.
    """

    def __init__(self, limit: Limit) -> None:
        """Take how many bytes a line may have, without its newline."""
        self._most = limit.most
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the lines that are whole now, without their newlines."""
        first, *rest = data.split(b"\n")
        lines = self._hold(first)
        for line in rest:
            lines.append(self._take())
            lines += self._hold(line)
        return lines

    def rest(self) -> bytes:
        """Return what has come of a line that has no newline yet, and forget it."""
        return self._take()

    def _hold(self, data: bytes) -> list[bytes]:
        """Keep the beginning of a line; return the pieces in which it is over the limit."""
        self._held.append(data)
        self._size += len(data)
        if self._size <= self._most:
            return []
        line, most = self._take(), self._most
        cut = (len(line) - 1) // most * most
        self._held, self._size = [line[cut:]], len(line) - cut
        return [line[start : start + most] for start in range(0, cut, most)]

    def _take(self) -> bytes:
        line = b"".join(self._held)
        self._held, self._size = [], 0
        return line


def split_lines(pieces: Iterable[bytes], limit: Limit, where: str) -> Iterator[bytes]:
    """Return the lines of a file that comes in pieces, each with its newline where it has one.

    Raises:
        TooLarge: a line is longer than the limit; `where` names the file.

    """
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        *whole, last = piece.split(b"\n")
        for line in whole:
            limit.check(size + len(line), where)
            yield b"".join((*held, line, b"\n"))
            held, size = [], 0
        held.append(last)
        size += len(last)
        limit.check(size, where)
    if size:
        yield b"".join(held)


def iterate_lines(text: str) -> Iterator[str]:
    """Yield the lines of a text without their newlines.

    A list of all of them would take a multiple of the text's own memory if they are short.
    """
    start = 0
    while start <= len(text):
        end = text.find("\n", start + _SLICE)
        yield from text[start : end if end >= 0 else None].split("\n")
        if end < 0:
            return
        start = end + 1


_SLICE = 1 << 20
"""Characters of a text that are taken apart at once."""
