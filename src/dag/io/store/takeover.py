"""What others have left in a store: make, and `dag` before it kept packages without signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePath

from dag.core.decoding import Undecodable
from dag.core.limits import RECORD
from dag.core.package.apk import Apk, BrokenPackage, require_promised
from dag.core.package.model import Package
from dag.core.say import Say
from dag.core.store.format1 import OldRecord, SignedApk, decode_old_record
from dag.core.store.records import Built, Record, unknown_key
from dag.io import durable
from dag.io.files import read_bytes
from dag.io.removal import remove
from dag.io.store.local import Store


def adopt(store: Store, packages: Iterable[Package], say: Say) -> None:
    """Take in the units that make has left: complete ones that have no record.

    They get one if the store's lock is held. `say` is told of packages that are not what their
    names promise.
    """
    there = {path.name for path in store.packages.glob("*.apk") if path.is_file()}
    for package in packages:
        version = package.full_version
        files = {f"{name}-{version}.apk": name for name in package.promised}
        unit = (package.name, version)
        if unit in store.records or unit in store.half_published or not there.issuperset(files):
            continue
        try:
            built = tuple(
                Built(
                    apk=_take_published(
                        store, file, partial(require_promised, name, package, store.arch)
                    )
                )
                for file, name in files.items()
            )
        except BrokenPackage as error:
            say(
                f"the packages of {package.name} {version} in the store do not count, and are "
                f"replaced: {error}"
            )
            continue
        record = Record(
            name=package.name,
            version=version,
            key=unknown_key("", built),
            fingerprint="",
            seconds=0,
            built=built,
        )
        store.take_as_published(record, keep=store.lock.held)


def _take_published(store: Store, file: str, check: Callable[[Apk], None]) -> Apk:
    """Read a published file, and keep it as a blob if the lock is held and `check` takes it."""
    if not store.lock.held:
        apk = store.blobs.read(store.packages, PurePath(file)).apk
        check(apk)
        return apk
    staged = store.blobs.stage(store.packages, PurePath(file))
    try:
        check(staged.apk)
        store.blobs.keep(staged)
    finally:
        store.blobs.discard((staged,))
    return staged.apk


def take_over(store: Store, say: Say) -> None:
    """Take in the records of format 1 that a store has, and what they tell of.

    The lock must be held. A record goes when all of it is taken in; so whoever dies meanwhile has
    lost nothing. `say` is told of those that are damaged.
    """
    _finish_promotions(store)
    for path in old_records(store):
        old = _read_old(path)
        if isinstance(old, str):
            say(
                f"{path} is damaged ({old}) and is removed; its packages stay, and count as if "
                "make had built them"
            )
        elif (old.name, old.version) not in store.records and _is_there(store, old):
            try:
                _take_over_record(store, old)
            except BrokenPackage as error:
                say(f"{old.name} {old.version} in the store does not count: {error}")
        remove(path)


def read_old_records(store: Store) -> None:
    """Let the records of format 1 count, without a change to the store.

    Their packages have the hashes of their files here, because nobody has read these.
    """
    for path in old_records(store):
        old = _read_old(path)
        if isinstance(old, str) or not _is_there(store, old):
            continue
        built = tuple(Built(apk=_as_it_is(one.apk), requires=one.requires) for one in old.built)
        store.take_as_published(_record(old, built), keep=False)


def _take_over_record(store: Store, old: OldRecord) -> None:
    built = []
    for one in old.built:
        apk = _take_published(store, one.apk.file, partial(_require_same, one.apk))
        built.append(Built(apk=apk, requires=one.requires))
    store.take_as_published(_record(old, tuple(built)), keep=True)


def _require_same(old: SignedApk, apk: Apk) -> None:
    if (apk.name, apk.version) != (old.name, old.version):
        raise BrokenPackage(f"{old.file} says that it is {apk.name} {apk.version}")


def _record(old: OldRecord, built: tuple[Built, ...]) -> Record:
    return Record(
        name=old.name,
        version=old.version,
        key=unknown_key(old.fingerprint, built),
        fingerprint=old.fingerprint,
        seconds=old.seconds,
        built=built,
    )


def _as_it_is(apk: SignedApk) -> Apk:
    lines = [line for line in apk.stanza.split("\n") if not line.startswith("S:")]
    return Apk(
        name=apk.name,
        version=apk.version,
        arch=apk.arch,
        origin=apk.origin,
        depends=apk.depends,
        provides=apk.provides,
        installed_size=0,
        data_hash="",
        sha256=apk.sha256,
        size=apk.size,
        stanza="\n".join(lines),
    )


def _finish_promotions(store: Store) -> None:
    """Bring in the units that were on their way in when `dag` was killed."""
    staging = store.state / "promote" / store.arch.apk
    if not staging.is_dir():
        return
    for staged in sorted(staging.iterdir()):
        old = _read_old(staged / "record.json")
        if staged.name.endswith(".tmp") or isinstance(old, str):
            remove(staged)
            continue
        for one in old.built:
            durable.place(staged / one.apk.file, store.packages / one.apk.file)
        durable.sync(store.packages)
        records = store.state / "records" / store.arch.apk
        durable.place(staged / "record.json", records / f"{old.name}-{old.version}.json")
        durable.sync(records)
        remove(staged)
    remove(staging)


def old_records(store: Store) -> list[Path]:
    """Return the files of the records of format 1."""
    folder = store.state / "records" / store.arch.apk
    return sorted(path for path in folder.glob("*.json") if not path.is_symlink())


def _read_old(path: Path) -> OldRecord | str:
    try:
        return decode_old_record(read_bytes(path, RECORD))
    except OSError as error:
        return error.strerror or str(error)
    except Undecodable as error:
        return str(error)


def _is_there(store: Store, old: OldRecord) -> bool:
    for one in old.built:
        try:
            if (store.packages / one.apk.file).stat().st_size != one.apk.size:
                return False
        except FileNotFoundError:
            return False
    return True
