"""The names of what a store keeps for itself, below `.dag` in a directory, a bucket or a claim.

```
blobs/sha256/HEX                            a package without signature, which never changes
records/ARCH/NAME/KEY/RESULT.json           a finished unit; RESULT is the hash of what came out
published/ARCH/NAME/VERSION-rEPOCH.json     which record the published files are of
logs/ARCH/NAME.log                          the log of the latest attempts
```
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dag.core.store.records import Record

BLOBS, RECORDS, PUBLISHED = "blobs/sha256", "records", "published"
_HEX = r"[0-9a-f]{64}"
_BLOB = re.compile(f"{BLOBS}/({_HEX})")
_PUBLICATION = re.compile(rf"{PUBLISHED}/([^/]+)/[^/]+/[^/]+\.json")
_RECORD = re.compile(rf"{RECORDS}/([^/]+)/([^/]+)/({_HEX})/({_HEX})\.json")


@dataclass(frozen=True, slots=True)
class RecordName:
    """The parts of a record's name."""

    arch: str
    name: str
    key: str
    result: str

    def __str__(self) -> str:
        return f"records/{self.arch}/{self.name}/{self.key}/{self.result}.json"


def record_name(arch: str, record: Record) -> str:
    """Return the name of a record."""
    return str(RecordName(arch, record.name, record.key, record.result))


def read_record_name(name: str) -> RecordName | None:
    """Return the parts of a record's name; None if this is the name of something else."""
    match = _RECORD.fullmatch(name)
    return RecordName(*match.groups()) if match else None


def blob_name(digest: str) -> str:
    """Return the name of the blob with this SHA-256."""
    return f"{BLOBS}/{digest}"


def read_blob_name(name: str) -> str | None:
    """Return the SHA-256 in a blob's name; None if this is the name of something else."""
    match = _BLOB.fullmatch(name)
    return match[1] if match else None


def publication_name(arch: str, name: str, version: str) -> str:
    """Return the name of the file that says which record of a unit is published."""
    return f"published/{arch}/{name}/{version}.json"


def read_publication_name(name: str) -> str | None:
    """Return the architecture in such a name; None if this is the name of something else."""
    match = _PUBLICATION.fullmatch(name)
    return match[1] if match else None
