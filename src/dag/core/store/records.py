"""Records of finished units."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from dag.core.decoding import decode
from dag.core.limits import RECORD
from dag.core.package.apk import Apk, Digest, PathPart
from dag.core.package.constraints import rank

FORMAT = 2


class Built(Struct, frozen=True, kw_only=True):
    """One package of a finished unit."""

    apk: Apk
    requires: tuple[str, ...] = ()
    """The packages that gave what it turned out to need (`so:libz.so.1`) when it was built."""


class RepositoryPackage(Struct, frozen=True, order=True):
    """A package of a repository that was in a unit's environment."""

    name: str
    version: str
    checksum: str
    """The `C:` of the repository's index."""


class Inputs(Struct, frozen=True, kw_only=True):
    """What went into a unit."""

    own: str
    """The hash of its own inputs: definition, common files, variables, script and so on."""
    environment: dict[str, Digest] = {}
    """The packages of the store in its environment, each with its hash, by name."""
    repository: tuple[RepositoryPackage, ...] = ()
    """The packages of repositories in its environment, sorted, as far as they are known."""
    dropped: tuple[str, ...] = ()
    """What a repository gave instead of the store, to open a cycle; sorted."""
    open: str = ""
    """Why melange may have got other packages of repositories, in words; empty if it could not."""
    melange: str | UnsetType = UNSET
    """The melange that built it; not there if nobody knows, and then the key is as it was of old."""

    @property
    def key(self) -> str:
        """Return the unit's key: the hash of all that, in hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


class Record(Struct, frozen=True, kw_only=True, tag_field="format", tag=FORMAT):
    """A finished unit: proven, and all of it is in the store."""

    name: PathPart
    version: PathPart
    """`VERSION-rEPOCH`."""
    key: Digest
    """The key of what went into it; of a record that is older than keys, a stand-in."""
    fingerprint: str
    """The fingerprint of the definition that it was built from; empty if nobody knows."""
    inputs: Inputs | None = None
    """What went into it; None if nobody knows."""
    epoch: int | None = None
    """Its SOURCE_DATE_EPOCH, in seconds since 1970; None if nobody knows."""
    seconds: Annotated[float, Meta(ge=0)]
    """How long the attempt took; 0 if nobody knows."""
    memory: Annotated[int, Meta(ge=0)] = 0
    """The bytes of memory that the attempt could have; 0 if nobody knows."""
    log: str = ""
    """The path of its log below the store's state; empty if there is none."""
    built: tuple[Built, ...]
    served: dict[str, Digest] = {}
    """The SHA-256 of each package of a repository that it got, without its signature, by name; its
    key has the index's checksum, a SHA-1. Empty in older records, and where melange asked itself."""

    @property
    def files(self) -> dict[str, Apk]:
        """Return its packages by the names of their files."""
        return {built.apk.file: built.apk for built in self.built}

    @property
    def result(self) -> str:
        """Return the hash of what came out, in hexadecimal digits: equal ones are one result."""
        lines = (f"{file} {apk.sha256}\n" for file, apk in sorted(self.files.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


_DECODER = msgspec.json.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """Return a record as JSON."""
    return msgspec.json.encode(record)


def decode_record(data: bytes) -> Record:
    """Return the record that `encode_record` wrote.

    Raises:
        Undecodable: it is something else, or has another format.

    """
    return decode(_DECODER, data, limit=RECORD.most)


def unknown_key(fingerprint: str, built: Iterable[Built]) -> str:
    """Return the stand-in for a key where nobody knows what went into a unit."""
    digests = "".join(sorted(f"{one.apk.sha256}\n" for one in built))
    return hashlib.sha256(f"no key\n{fingerprint}\n{digests}".encode()).hexdigest()


def choose_records(records: Iterable[Record], versions: Mapping[str, str]) -> dict[str, Record]:
    """Return one record a unit: that of the version in `versions`, else of the highest."""
    chosen: dict[str, Record] = {}
    for record in records:
        best = chosen.get(record.name)
        wanted = versions.get(record.name)
        if best is None or (
            (record.version == wanted, rank(record.version))
            > (best.version == wanted, rank(best.version))
        ):
            chosen[record.name] = record
    return chosen
