"""The key with which a store signs if nobody gives another one.

It lies outside of the store, because people publish that; only its public half is there.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dag.core.limits import PUBLIC_KEY
from dag.core.web import is_web_page
from dag.errors import InfrastructureError, UsageError
from dag.io import durable
from dag.io.store.local import Store

KEY_NAME = "melange.rsa"
PUBLIC_OBJECT = f"key/{KEY_NAME}.pub"
"""The object that is the public half."""
ENGINE = "engine.rsa"
IDENTITY_OBJECT = "id"
"""The object that has the name of the store."""


class KeyElsewhere(UsageError):
    """Others share the store, and its key is on the machine of one of them."""


def own_key(store: Store, make: Callable[[Path], None]) -> Path:
    """Return the path of a store's own key, with `.pub` beside it; `make` makes both the first time.

    Raises:
        InfrastructureError: it cannot be kept.
        KeyElsewhere: others share the store, and its key is on another machine.

    """
    key = _path(store)
    with _kept_as(key):
        if not key.exists():
            key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(key, make)
        _let_be_public(store, _public(key).read_bytes())
    return key


def find_own_key(store: Store) -> Path | None:
    """Return the path of a store's own key; None if the next build makes one. Nothing is written.

    Raises:
        KeyElsewhere: others share the store, and its key is on another machine.

    """
    is_named = store.objects.look(IDENTITY_OBJECT) is not None
    if is_named and (key := _path(store)).exists():
        return key
    if store.is_shared and store.objects.look(PUBLIC_OBJECT) is not None:
        raise _elsewhere(store)
    return None


def _let_be_public(store: Store, data: bytes) -> None:
    found = store.objects.read(PUBLIC_OBJECT, PUBLIC_KEY)
    if found is None and store.objects.create(PUBLIC_OBJECT, data):
        return
    if found is None:  # it may be ours, and only the answer to that was lost
        found = store.objects.read(PUBLIC_OBJECT, PUBLIC_KEY)
    if found is None or found.data != data:
        if store.is_shared:
            raise _elsewhere(store)
        store.objects.write(PUBLIC_OBJECT, data)


def _elsewhere(store: Store) -> KeyElsewhere:
    return KeyElsewhere(
        f"the key of the store {store.name} is not on this machine",
        hint="give a --signing-key to every build that has this store, or copy the key: it is "
        "below ~/.local/share/dag/keys on the machine that built there first",
    )


def move_out(store: Store, say: Callable[[str], None]) -> None:
    """Move a key out of the store, where it lay once; `say` is told.

    Raises:
        InfrastructureError: it cannot be kept.

    """
    old = store.state / "key" / KEY_NAME
    if not old.exists():
        return
    key = _path(store)
    with _kept_as(key):
        if not key.exists():
            key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _move(old, key)
        old.unlink()
    say(
        f"the private key of this store lay in {old}, beside what is published; it is now {key}. If "
        "others could read it, remove it there, and the next build makes another one"
    )


@contextmanager
def _kept_as(key: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InfrastructureError(
            f"the key of the store cannot be kept as {key}: {error.strerror}",
            hint="set $XDG_DATA_HOME to a directory of your own, or give a --signing-key",
        ) from error


def _path(store: Store) -> Path:
    """Return the path of a store's key, in a directory that no other store has."""
    return _keys() / identity_of(store) / KEY_NAME


def _keys() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111
    return Path(base, "dag", "keys")


def identity_of(store: Store) -> str:
    """Return the name of a store that no other has; it gets one the first time.

    Raises:
        InfrastructureError: there is something else in its place.

    """
    found = store.objects.read(IDENTITY_OBJECT, PUBLIC_KEY)
    if found is None:
        store.objects.create(IDENTITY_OBJECT, secrets.token_hex(16).encode())
        found = store.objects.read(IDENTITY_OBJECT, PUBLIC_KEY)
    identity = (found.data if found else b"")[:32].decode("ascii", errors="replace")
    if not (identity.isalnum() and len(identity) == 32):
        hint = "remove it; another is made"
        if found is not None and is_web_page(found.data):
            hint = (
                "it is a web page: is that the address of the server's buckets, or of its console?"
            )
        raise InfrastructureError(
            f"{store.objects.address(IDENTITY_OBJECT)} does not have the name of this store",
            hint=hint,
        )
    return identity


def require_conditions(store: Store) -> None:
    """Make sure that others who write to a store at the same time can undo nothing.

    Raises:
        StoreError: its server passes over conditions of writes.

    """
    store.objects.require_conditions(IDENTITY_OBJECT, identity_of(store).encode())


def engine_key(make: Callable[[Path], None]) -> Path:
    """Return the path of the key with which whoever builds here signs requests to a signer.

    It is one for all stores; `make` makes it the first time.

    Raises:
        InfrastructureError: it cannot be kept.

    """
    key = _keys() / "engine" / ENGINE
    with _kept_as(key):
        if not key.exists():
            key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(key, make)
    return key


def seen_path(store: Store) -> Path:
    """Return the path of the file in which whoever builds here remembers what was proven.

    It is out of reach of whoever can write the store.
    """
    return _path(store).with_name(f"seen-{store.arch.apk}")


def _make(key: Path, make: Callable[[Path], None]) -> None:
    temporary = key.parent / "new" / key.name
    shutil.rmtree(temporary.parent, ignore_errors=True)
    temporary.parent.mkdir()
    make(temporary)
    # The key comes last: it is what the next run looks for.
    durable.rename(_public(temporary), _public(key))
    durable.rename(temporary, key)
    temporary.parent.rmdir()


def _move(old: Path, key: Path) -> None:
    durable.write(_public(key), _public(old).read_bytes())
    temporary = key.with_name(f"{durable.TEMPORARY}{key.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(old.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    durable.rename(temporary, key)


def _public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")
