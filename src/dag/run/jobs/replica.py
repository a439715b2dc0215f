"""A cluster's store as planning sees it: what the agent tells of it, in a directory here.

It has the records and what is published, and of the packages nothing but their sizes.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from dag.core.arch import Arch
from dag.core.decoding import Undecodable
from dag.core.jobs.listing import StoreListing, require_path
from dag.core.limits import PACKAGE, PUBLIC_KEY
from dag.core.store.layout import (
    BLOBS,
    PUBLISHED,
    RECORDS,
    blob_name,
    read_publication_name,
    read_record_name,
)
from dag.core.store.publication import decode_publication
from dag.core.store.records import decode_record
from dag.errors import InfrastructureError
from dag.io.store.local import Store
from dag.io.store.ownkey import IDENTITY_OBJECT, PUBLIC_OBJECT
from dag.io.usercache import user_cache

_CLIENT = "client"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def replica_place(server: str, namespace: str, store: str, arch: Arch) -> Path:
    """Return the directory here that stands for a store in a cluster; each architecture has its own."""
    name = f"{server}\n{namespace}\n{store}\n{arch.apk}"
    return user_cache("replicas") / hashlib.sha256(name.encode()).hexdigest()[:32]


def open_replica(root: Path, arch: Arch, *, wait: bool, say: Callable[[str], None]) -> Store:
    """Return the store in a directory, with whatever it had before; its lock is held.

    Raises:
        Held: somebody else on this machine builds in that store, and `wait` is false.
        InfrastructureError: the directory cannot be used.

    """
    store = Store(root, arch)
    store.is_shared = True  # others write to what this stands for
    store.prepare()
    store.lock.acquire(wait=wait, say=say)
    return store


def client_of(replica: Store) -> str:
    """Return the name of a replica that no other has, and no copy of it on another machine."""
    replica.objects.create(_CLIENT, secrets.token_hex(16).encode())
    found = replica.objects.read(_CLIENT, PUBLIC_KEY)
    boot = _BOOT.read_bytes() if _BOOT.exists() else b""
    parts = (found.data if found else b"", socket.gethostname().encode(), boot)
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def fill_replica(store: Store, listing: StoreListing, say: Callable[[str], None]) -> None:
    """Let a replica have what is listed, and nothing else; as far as planning needs it.

    Raises:
        InfrastructureError: the agent tells nonsense.

    """
    arch = store.arch
    try:
        for folder in (BLOBS, f"{RECORDS}/{arch.apk}", f"{PUBLISHED}/{arch.apk}"):
            shutil.rmtree(store.state / folder, ignore_errors=True)
        for file in store.packages.iterdir():
            file.unlink()
        _fill(store, listing)
        _take_identity(store, listing)
        store.recover(say)
        store.hints.remember(listing.ram, say)
        store.disk_hints.remember(listing.disk, say)
        store.chosen = listing.results
    except Undecodable as error:
        raise InfrastructureError(
            f"what the agent tells of the store cannot be a store: {error}",
            hint="is the image of --agent-image one of the same version of dag?",
        ) from error


def _fill(store: Store, listing: StoreListing) -> None:
    for name, data in listing.objects.items():
        parts = read_record_name(name)
        arch = parts.arch if parts is not None else read_publication_name(name)
        if arch != store.arch.apk:
            raise Undecodable(f"{name} is no name of an object for {store.arch}")
        path = store.state / require_path(name)  # made anew for each run, so it need not be durable
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if parts is not None:
            for one in decode_record(data).built:
                _stand_in(store.state / blob_name(one.apk.sha256), one.apk.size)
        else:
            for file, size in decode_publication(data).sizes.items():
                _stand_in(store.packages / require_path(file), size)


def _take_identity(store: Store, listing: StoreListing) -> None:
    """Let the store have the name and the public key of what it stands for."""
    for name, data in {
        IDENTITY_OBJECT: listing.identity.encode(),
        PUBLIC_OBJECT: listing.public_key,
    }.items():
        if data:
            store.objects.write(name, data)
        else:
            store.objects.delete(name)


def _stand_in(path: Path, size: int) -> None:
    """Make a file of a size that has nothing in it."""
    if not 0 <= size <= PACKAGE.most:
        raise Undecodable(f"{path.name} cannot have {size} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        os.truncate(file.fileno(), size)
