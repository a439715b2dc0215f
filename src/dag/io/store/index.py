"""The index of a store: which packages it publishes, signed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dag.core.limits import PACKAGE_INDEX, PACKAGE_MEMBERS
from dag.core.package.apk import index_archive, listed_packages
from dag.core.package.apkindex import FILE_NAME
from dag.core.tar import BrokenArchive, TarReader
from dag.io import durable
from dag.io.archives import DamagedStream, gunzip, limit_pieces, reader_of
from dag.io.files import read_bytes
from dag.io.store.local import Store

_SIGNATURE = ".SIGN."


def write_index(
    store: Store,
    sign: Callable[[Path], None],
    say: Callable[[str], None],
    *,
    key: str,
    anew: bool = False,
) -> None:
    """Write the index of all packages that a store publishes; `sign` adds a signature to a file.

    An index that lists just these stays as it is, with its signature, whoever made it, unless
    `anew` asks for a new one. `say` is told before an index is replaced that was signed with
    another key than `key`, the name of the public half.
    """
    index = store.packages / FILE_NAME
    data = index_archive(store.published())
    before = read_bytes(index, PACKAGE_INDEX) if index.is_file() else b""
    found = _read(before, str(index))
    if found.signer and not anew and found.packages == _read(data, FILE_NAME).packages:
        return
    memory = store.state / f"index-{store.arch.apk}.sha256"
    if found.signer and (found.signer != key or not _is_ours(memory, before)):
        say(
            f"{index} is signed with the key {found.signer}, which this build does not have, and is "
            f"replaced by one that is signed with {key}; --signing-key names the key to sign with"
        )
    temporary = store.incoming / index.name
    temporary.write_bytes(data)
    sign(temporary)
    data = temporary.read_bytes()
    if data != before:
        durable.write(memory, hashlib.sha256(data).hexdigest().encode())
        durable.write(index, data)
    temporary.unlink()


@dataclass(frozen=True, slots=True)
class _Index:
    signer: str = ""
    """The name of the public key that verifies it; empty if it has no signature."""
    packages: frozenset[str] = frozenset()


def _read(archive: bytes, where: str) -> _Index:
    """Return what an index says; one that cannot be read says nothing."""
    signer, packages = "", frozenset[str]()
    try:
        unpacked = reader_of(limit_pieces(gunzip([archive]), PACKAGE_INDEX, where))
        reader = TarReader(unpacked, PACKAGE_MEMBERS, where, joined=True)
        for member in reader:
            if member.name.startswith(_SIGNATURE):
                signer = member.name.removeprefix(_SIGNATURE).partition(".")[2]
            elif member.name == "APKINDEX" and member.is_file:
                text = b"".join(reader.blocks()).decode(errors="replace")
                packages = listed_packages(text)
    except (BrokenArchive, DamagedStream):
        return _Index()
    return _Index(signer, packages)


def _is_ours(memory: Path, index: bytes) -> bool:
    """Return whether `dag` wrote this index; an older one has left no word about that."""
    with suppress(FileNotFoundError):
        return memory.read_bytes() == hashlib.sha256(index).hexdigest().encode()
    return True
