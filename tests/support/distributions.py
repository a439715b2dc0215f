"""The real distributions that tests read: they lie beside the checkout, in ../shared/data.

`$DAG_SHARED` names another place than ../shared. Where they are absent, tests that read them are
left out, and the end of pytest's output says so (`conftest.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import zstandard

from dag.core.package.model import Fetch, Package

SHARED = Path(os.environ.get("DAG_SHARED") or Path(__file__).parents[3] / "shared")
TODAY = "wolfi-2026-08-22"
SEED = "wolfi-2023-01-25"


class MissingDataError(FileNotFoundError):
    """The real distributions are not on this machine; the message says where they belong."""


def data(name: str) -> Path:
    """Return the path of the file `name` of the real distributions' data.

    Raises MissingDataError if it is not there.
    """
    path = SHARED / "data" / name
    if not path.is_file():
        raise MissingDataError(
            f"{path} is not there, a comparison with real distributions needs it;"
            " $DAG_SHARED names the directory that has it as data/…"
        )
    return path


def case(name: str) -> Path:
    """The directory with the input of a fault, shared/cases/NAME; raises MissingDataError."""
    path = SHARED / "cases" / name
    if not path.is_dir():
        raise MissingDataError(
            f"{path} is not there; $DAG_SHARED names the directory that has it as cases/…"
        )
    return path


def unpacked(name: str) -> Path:
    """Return the directory of definitions in `name`.tar.zst, which is unpacked once per machine."""
    archive = data(f"{name}.tar.zst").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = cache / "dag" / "data" / f"{name}-{hashlib.sha256(archive).hexdigest()[:16]}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        with (
            zstandard.ZstdDecompressor().stream_reader(io.BytesIO(archive)) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            tar.extractall(partial, filter="data")
        try:
            partial.rename(target)
        except OSError:
            assert target.exists()  # another process was faster
    return target / name


def compiled() -> dict[str, dict[str, Any]]:
    """Return what melange answered for each file of today's distribution."""
    stored = data("compiled-2026-08-22.json.zst").read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(stored)) as stream:
        answers: dict[str, dict[str, Any]] = json.loads(stream.read())
    return answers


def as_melange_says(package: Package) -> dict[str, Any]:
    """Return a package in the form of the stored answers."""
    subpackages = (*package.subpackages, *package.left_out)
    return {
        "name": package.name,
        "version": package.version,
        "epoch": package.epoch,
        "env": sorted({need.text for need in package.environment}),
        "runtime": sorted(package.runtime),
        "provides": sorted(package.provides),
        "subs": {
            one.name: {"runtime": sorted(one.runtime), "provides": sorted(one.provides)}
            for one in subpackages
        },
        "uris": sorted(
            [one.uri, one.sha256 or one.sha512] for one in package.sources if isinstance(one, Fetch)
        ),
    }


def in_order(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with its lists sorted, because their order has no meaning."""
    return {
        **answer,
        "env": sorted(set(answer["env"])),
        "runtime": sorted(answer["runtime"]),
        "provides": sorted(answer["provides"]),
        "uris": sorted(answer["uris"]),
        "subs": {
            name: {key: sorted(value) for key, value in one.items()}
            for name, one in answer["subs"].items()
        },
    }
