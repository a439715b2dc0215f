"""Headers of tar archives that ask their reader for more than there is."""

from __future__ import annotations

import tarfile


def tar_header(kind: bytes, size: int, name: str = "x") -> bytes:
    """Return the header of a member that claims to have so many bytes."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def pax_header(key: str, value: str) -> bytes:
    """Return a pax attribute for the member that follows."""
    rest = f" {key}={value}\n".encode()
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    record = f"{length}".encode() + rest
    padding = bytes(-len(record) % 512)
    return tar_header(b"x", len(record), "pax") + record + padding


def sparse_header(size: int) -> bytes:
    """Return the header of a sparse file in the old GNU format, all of which is a hole."""
    block = bytearray(tar_header(b"S", 0))
    block[386:398] = block[398:410] = b"%011o\0" % 0
    block[483:495] = b"%011o\0" % size if size < 1 << 33 else b"%011o\0" % 0
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
