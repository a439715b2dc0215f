"""Signing what a store publishes, with the store's own key or the user's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from dag.core.store.records import Record
from dag.errors import InfrastructureError, UsageError
from dag.io.package.keypairs import public_half, require_pair
from dag.io.retries import RetryPolicy
from dag.io.store import ownkey
from dag.io.store.blobs import LOST_HINT, LostBlob
from dag.io.store.index import write_index
from dag.io.store.local import Store
from dag.report.words import seconds, some
from dag.run.build.tools import Tools

_PATIENCE = RetryPolicy(longest=60.0)
REFUSED_HINT = (
    "`dag build --sign apart --rebuild PKG` builds it again, so that this machine sees it proven; `dag setup "
    "signer --trust-store` trusts what the store has"
)


def given_key(path: str | None, *, for_melange: bool = False) -> Path | None:
    """Return the user's key, which can sign and has its public half beside it; None if there is none.

    `for_melange` says that melange is to sign with it, as on this machine; a Job's agent signs itself.

    Raises:
        UsageError: the public half is missing or another key's, or the key cannot sign.

    """
    key = Path(path) if path else None
    if key is None:
        return None
    if not key.is_file():
        raise UsageError(
            f"there is no file {key}, which --signing-key names",
            hint="name the private key, or leave it to `dag publish` with --publish=false",
        )
    if not public_half(key).is_file():
        raise UsageError(
            f"{key} has no public half {key.name}.pub beside it",
            hint=f"make it with: openssl rsa -in {key} -pubout -out {key}.pub",
        )
    require_pair(key, for_melange=for_melange)
    return key


def publish_records(
    store: Store,
    records: Iterable[Record],
    sign: Callable[[Iterable[Path]], None],
    say: Callable[[str], None],
) -> dict[str, str]:
    """Publish records of a store; return why some could not be, by the names of units.

    `sign` adds a signature to each of some files; `say` is told of each wait for another build.
    """
    refused = {}
    for record in records:
        try:
            _publish_record(store, record, sign, say)
        except LostBlob as error:
            refused[record.name] = error.message
    return refused


def require_published(refused: Mapping[str, str], *, is_apart: bool = False) -> None:
    """Raise an error if some units could not be published; `refused` has why, by their names.

    `is_apart` says that a signer has refused them.

    Raises:
        InfrastructureError: one could not be.

    """
    if refused:
        name, why = next(iter(refused.items()))
        others = some([one for one in refused if one != name])
        raise InfrastructureError(
            f"{name} could not be published: {why}" + (f"; nor could {others}" if others else ""),
            hint=REFUSED_HINT if is_apart else LOST_HINT,
        )


def _publish_record(
    store: Store,
    record: Record,
    sign: Callable[[Iterable[Path]], None],
    say: Callable[[str], None],
) -> None:
    pauses = _PATIENCE.pauses()
    while not store.publish(record, sign):
        pause = next(pauses)
        say(
            f"another build publishes {record.name} {record.version} in {store.name} just now; "
            f"looking again in {seconds(pause)}"
        )
        time.sleep(pause)


def publish(
    store: Store, records: Iterable[Record], given: Path | None, say: Callable[[str], None]
) -> dict[str, str]:
    """Publish records that a store has and does not publish yet; then write its index.

    They are signed with the `given` key, or with the store's own. Returns why some could not be
    published, by the names of units.
    """

    @cache
    def signer() -> tuple[Tools, Path]:
        tools = Tools.to_sign()
        return tools, given or ownkey.own_key(store, tools.make_key)

    def sign_packages(paths: Iterable[Path]) -> None:
        tools, key = signer()
        tools.sign_packages(paths, key)

    def sign_index(path: Path) -> None:
        tools, key = signer()
        tools.sign_index(path, key)

    missing = [one for one in records if not store.publishes(one)]
    if store.is_shared and (missing or store.left):
        store.read()  # what others have published meanwhile stays as it is
    left = (one for unit, one in store.left.items() if unit not in store.records)
    refused = publish_records(store, [*missing, *left], sign_packages, say)
    name = public_half(given).name if given else f"{ownkey.KEY_NAME}.pub"
    write_index(store, sign_index, say, key=name, anew=given is not None)
    return refused
