"""A cache of resolved definitions, keyed by everything that they were made from.

A key is a hash of the definition's bytes, the pipelines, the architecture, the build options and
the source of the code that resolves; so an entry can be missing but never stale. One file holds the
entries of one directory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]

from dag.core.package.model import Checkout, DeclaredResources, Fetch, Need, Package, Subpackage
from dag.io import durable

KEPT_DIRECTORIES = 64
_CODE = (
    *("package/compile", "package/model", "package/yaml", "package/pipelines"),
    *("package/substitutions", "package/variables", "package/triplets", "package/builtin", "arch"),
)
"""The modules of `dag.core` that resolve definitions."""
_DIGEST = 16

Record = Any
"""What msgpack keeps of a package: its fields in order, or nothing for a file that is none."""


@cache
def code_digest() -> bytes:
    """A hash of the source that resolves definitions and of this file."""
    core = Path(__file__).parents[2] / "core"
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for path in (Path(__file__), *(core / f"{name}.py" for name in _CODE)):
        text = path.read_bytes()
        digest.update(b"%d:" % len(text))
        digest.update(text)
    return digest.digest()


def salt(parts: Iterable[bytes]) -> bytes:
    """What all keys of a run have in common: the code and `parts`."""
    digest = hashlib.blake2b(code_digest(), digest_size=_DIGEST)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def key(file: str, data: bytes, salted: bytes) -> bytes:
    """The key of one file's entry."""
    digest = hashlib.blake2b(file.encode() + b"\0", digest_size=_DIGEST, key=salted)
    digest.update(data)
    return digest.digest()


def record(package: Package | None) -> Record:
    """A package as msgpack can keep it."""
    if package is None:
        return None
    return (
        package.name,
        package.version,
        package.epoch,
        package.file,
        package.line,
        package.subpackages,
        package.left_out,
        package.environment,
        package.runtime,
        package.provides,
        package.provider_priority,
        [source for source in package.sources if isinstance(source, Fetch)],
        [source for source in package.sources if isinstance(source, Checkout)],
        package.pipelines,
        package.resources,
        package.target_architecture,
        package.options,
    )


# As `_make` does, without a Python call for each of 60,000.
_need = partial(tuple.__new__, Need)
_subpackage = partial(tuple.__new__, Subpackage)
_fetch = partial(tuple.__new__, Fetch)
_checkout = partial(tuple.__new__, Checkout)


def restored(kept: Record) -> Package:
    """The package that `record` was made of."""
    (
        name,
        version,
        epoch,
        file,
        line,
        subpackages,
        left_out,
        environment,
        runtime,
        provides,
        priority,
        fetches,
        checkouts,
        pipelines,
        resources,
        architectures,
        options,
    ) = kept
    return Package(
        name=name,
        version=version,
        epoch=epoch,
        file=file,
        line=line,
        subpackages=tuple(map(_subpackage, subpackages)),
        left_out=tuple(map(_subpackage, left_out)),
        environment=tuple(map(_need, environment)),
        runtime=runtime,
        provides=provides,
        provider_priority=priority,
        sources=(*map(_fetch, fetches), *map(_checkout, checkouts)),
        pipelines=pipelines,
        resources=DeclaredResources._make(resources),
        target_architecture=architectures,
        options=options,
    )


def pack(value: object) -> bytes:
    """Serialize records."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(data: bytes) -> Any:  # noqa: ANN401
    """The records that `pack` was given, as tuples."""
    return msgpack.unpackb(data, use_list=False, strict_map_key=False)


def _root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dag" / "definitions"


def _place(directory: Path) -> Path:
    name = hashlib.blake2b(os.fsencode(directory.resolve()), digest_size=_DIGEST).hexdigest()
    return _root() / f"{name}.msgpack"


def load(directory: Path, arch: str) -> dict[bytes, Record]:
    """The entries of `directory`; none if the file is missing, damaged or of another time."""
    try:
        data = _place(directory / arch).read_bytes()
    except OSError:
        return {}
    if hashlib.blake2b(data[_DIGEST:], digest_size=_DIGEST).digest() != data[:_DIGEST]:
        return {}
    try:
        entries = unpack(data[_DIGEST:])
    except (ValueError, msgpack.UnpackException):
        return {}
    return entries if isinstance(entries, dict) else {}


def store(directory: Path, arch: str, entries: Mapping[bytes, Record]) -> None:
    """Keep exactly `entries` for `directory`; a cache that can't be written is no failure."""
    place = _place(directory / arch)
    payload = pack(entries)
    data = hashlib.blake2b(payload, digest_size=_DIGEST).digest() + payload
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _forget_oldest(place.parent)
        durable.write(place, data, lasting=False)
    except OSError:
        return


def _forget_oldest(root: Path) -> None:
    files = sorted(root.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[KEPT_DIRECTORIES:]:
        path.unlink(missing_ok=True)
