"""The names of what a store keeps for itself, below `.dag` in a directory, a bucket or a claim.

```
blobs/sha256/HEX                            a package without signature, which never changes
records/ARCH/NAME/KEY/RESULT.json           a finished unit; RESULT is the hash of what came out
published/ARCH/NAME/VERSION-rEPOCH.json     which record the published files are of
runs/ID/ARCH/journal.jsonl                  what happened in a run, event by event
runs/ID/ARCH/result.json                    what came of it, once it has ended
runs/ID/ARCH/logs/NAME.log                  the log of a unit, with all its attempts in that run
requests/ID/ARCH.json                       what a signer that is apart is asked to publish
requests/ID/ARCH.answer.json                what came of that
attested/ARCH.json                          what requests have attested, as the signer remembers it
runs/ID/ARCH/results/KEY.json               which result a run as Jobs goes on with, of several of a key
```
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from msgspec import Struct

from dag.core.store.publication import Publication
from dag.core.store.records import Record

STATE = ".dag"
"""The folder in a store of what is not published."""
BLOBS, RECORDS, PUBLISHED, RUNS = "blobs/sha256", "records", "published", "runs"
REQUESTS = "requests"
_HEX = r"[0-9a-f]{64}"
_BLOB = re.compile(f"{BLOBS}/({_HEX})")
_PUBLICATION = re.compile(rf"{PUBLISHED}/([^/]+)/[^/]+/[^/]+\.json")
_RUN_ID = r"\d{8}-\d{6}-[0-9a-f]{6}"
_RUN_TIME = "%Y%m%d-%H%M%S"
_OF_RUN = re.compile(rf"{RUNS}/({_RUN_ID})/.+")
_REQUEST = re.compile(rf"{REQUESTS}/({_RUN_ID})/([^/]+)\.json")
_RECORD = re.compile(rf"{RECORDS}/([^/]+)/([^/]+)/({_HEX})/({_HEX})\.json")


class RecordName(Struct, frozen=True):
    """The parts of a record's name."""

    arch: str
    name: str
    key: str
    result: str

    def __str__(self) -> str:
        return f"records/{self.arch}/{self.name}/{self.key}/{self.result}.json"


def record_name(arch: str, record: Record | Publication) -> str:
    """Return the name of a record, or of that which is published."""
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


def make_run_id(began: float, random: str) -> str:
    """Return the id of a run that began at `began`, in seconds since 1970; later ones sort behind it.

    The last six digits are the milliseconds and `random`, three hexadecimal digits. It may be a part
    of names and labels of Kubernetes.
    """
    moment = datetime.fromtimestamp(began, UTC)
    return f"{moment:{_RUN_TIME}}-{moment.microsecond // 1000:03}{random}"


def is_run_id(text: str) -> bool:
    """Return whether this is the id of a run."""
    return re.fullmatch(_RUN_ID, text) is not None


def read_run_of(name: str) -> str | None:
    """Return the id of the run that this is the name of something of; None if it is of none."""
    match = _OF_RUN.fullmatch(name)
    return match[1] if match else None


def request_name(identity: str, arch: str) -> str:
    """Return the name of a request to a signer."""
    return f"{REQUESTS}/{identity}/{arch}.json"


def answer_name(identity: str, arch: str) -> str:
    """Return the name of the answer to a request."""
    return f"{REQUESTS}/{identity}/{arch}.answer.json"


def attested_name(arch: str) -> str:
    """Return the name of what a signer remembers that requests have attested."""
    return f"attested/{arch}.json"


def read_request_name(name: str, arch: str) -> str | None:
    """Return the id of a request for this architecture; None if this is the name of something else."""
    match = _REQUEST.fullmatch(name)
    return match[1] if match and match[2] == arch else None


def is_answer(name: str) -> bool:
    """Return whether this is the name of an answer to a request."""
    match = _REQUEST.fullmatch(name)
    return match is not None and answer_name(match[1], match[2].removesuffix(".answer")) == name


def answer_of(name: str) -> str | None:
    """Return the name of the answer to the request of this name; None if this is none of a request."""
    match = _REQUEST.fullmatch(name)
    return answer_name(*match.groups()) if match and "." not in match[2] else None


class RunNames(Struct, frozen=True):
    """The names of what is kept of a run for one architecture."""

    run: str
    arch: str

    @property
    def journal(self) -> str:
        """Return the name of its journal."""
        return f"{RUNS}/{self.run}/{self.arch}/journal.jsonl"

    @property
    def result(self) -> str:
        """Return the name of its result."""
        return f"{RUNS}/{self.run}/{self.arch}/result.json"

    def log(self, unit: str) -> str:
        """Return the name of a unit's log."""
        return f"{RUNS}/{self.run}/{self.arch}/logs/{unit}.log"

    @property
    def results(self) -> str:
        """Return the folder of the results that it goes on with."""
        return f"{RUNS}/{self.run}/{self.arch}/results"

    def result_of(self, key: str) -> str:
        """Return the name of what says which result of a unit's key that is."""
        return f"{self.results}/{key}.json"
