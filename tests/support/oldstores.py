"""Stores as `dag` wrote them until it kept packages without their signatures."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from dag.core.store.records import Record, decode_record
from tests.support.apks import read

_ARCH = "x86_64"


def make_old(root: Path) -> None:
    """Turn a store, whose published files stay as they are, into one of format 1."""
    state = root / ".dag"
    records = state / "records" / _ARCH
    found = [decode_record(path.read_bytes()) for path in sorted(records.rglob("*.json"))]
    for name in ("blobs", "published", "records", "runs", "incoming", "id"):
        path = state / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
    for link in (root / "logs" / _ARCH).iterdir():
        link.unlink()
        link.write_text("an old log\n")
    records.mkdir(parents=True)
    (state / "promote" / _ARCH).mkdir(parents=True)
    for record in found:
        (records / f"{record.name}-{record.version}.json").write_text(
            json.dumps(old_record(record, root / _ARCH))
        )


def old_record(record: Record, packages: Path) -> dict[str, object]:
    """Return a record in format 1 of packages that are published in a directory."""
    return {
        "format": 1,
        "name": record.name,
        "version": record.version,
        "fingerprint": record.fingerprint,
        "seconds": record.seconds,
        "built": [
            {"apk": _old_apk(packages / one.apk.file), "requires": one.requires}
            for one in record.built
        ],
    }


def _old_apk(path: Path) -> dict[str, object]:
    apk = read(path)
    size = path.stat().st_size
    return {
        "name": apk.name,
        "version": apk.version,
        "arch": apk.arch,
        "origin": apk.origin,
        "depends": apk.depends,
        "provides": apk.provides,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": size,
        "stanza": apk.stanza.replace("\nI:", f"\nS:{size}\nI:"),
    }
