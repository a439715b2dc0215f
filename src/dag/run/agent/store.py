"""What agents do to a store for a client that cannot reach it: tell what is there, and publish."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dag.core.arch import Arch
from dag.core.decoding import Undecodable
from dag.core.jobs.answers import without_environment
from dag.core.jobs.history import decode_files
from dag.core.jobs.listing import (
    PublishAnswer,
    StoreListing,
    encode_listing,
    encode_published,
)
from dag.core.jobs.order import decode_texts
from dag.core.jobs.packing import unpack_words
from dag.core.limits import PUBLIC_KEY, RECORD, SIGNING_REQUEST
from dag.core.package.apk import pack_signature
from dag.core.store.layout import (
    BLOBS,
    PUBLISHED,
    RECORDS,
    RunNames,
    blob_name,
    read_publication_name,
    read_record_name,
    record_name,
)
from dag.core.store.publication import Publication, decode_publication, encode_publication
from dag.core.store.records import Record, decode_record, encode_record
from dag.core.store.requests import SignedRequest
from dag.core.visible import visible_line
from dag.errors import InfrastructureError
from dag.io.store.index import write_index
from dag.io.store.local import Store
from dag.io.store.objects import read_each
from dag.io.store.ownkey import PUBLIC_OBJECT, identity_of, require_conditions
from dag.report.terminal import say, show
from dag.run.agent.places import open_agent_store
from dag.run.build.apart import await_answer
from dag.run.build.runs import read_results
from dag.run.build.signing import publish_records


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSignature:
    """The signature of an index, made by whoever has the key."""

    public_name: str
    """The name of the public half."""
    public_key: str
    """Its text, in base64."""
    digest: str = ""
    """The SHA-256 of the index that was signed; empty if none is yet."""
    signature: str = ""
    """In base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOrder:
    """What is published."""

    records: Sequence[str]
    """The names of records, as words."""
    anew: bool
    """Whether the index is signed anew although it lists all already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """What is kept of a run that has ended."""

    run: str
    files: Sequence[str]
    """Its journal and its result, as words; none if they are too long."""
    ram: Mapping[str, int]
    """The bytes of memory that units turned out to need, by name."""
    disk: Mapping[str, int]
    """The bytes of disk that they turned out to need."""


class _Unsigned(Exception):
    """There is an index to be signed, with this SHA-256."""


def list_store(location: str, arch: Arch, scratch: Path) -> None:
    """Write what a store has for an architecture to the standard output.

    What is damaged, or lies there under a name of nobody's, counts for nothing; `dag store verify`
    tells of it.
    """
    store = open_agent_store(location, arch, scratch)
    _make(store)
    state = store.objects
    sizes = {one.name: one.size for one in state.list(BLOBS)}
    objects = {}
    names = filter(read_record_name, state.names(f"{RECORDS}/{arch.apk}"))
    for name, record in read_each(state, names, RECORD, decode_record):
        if isinstance(record, Record) and all(
            sizes.get(blob_name(one.apk.sha256)) == one.apk.size for one in record.built
        ):
            objects[name] = encode_record(without_environment(record))
    names = filter(read_publication_name, state.names(f"{PUBLISHED}/{arch.apk}"))
    for name, publication in read_each(state, names, RECORD, decode_publication):
        if isinstance(publication, Publication):
            objects[name] = encode_publication(publication)
    require_conditions(store)
    key = state.read(PUBLIC_OBJECT, PUBLIC_KEY)
    listing = StoreListing(
        objects=objects,
        ram=store.hints.all(),
        disk=store.disk_hints.all(),
        results=read_results(store),
        identity=identity_of(store),
        public_key=key.data if key else b"",
    )
    show(encode_listing(listing))


def try_store(location: str, arch: Arch, scratch: Path, probe: str) -> None:
    """Write an object to a store, also on a condition, and delete it.

    Raises:
        StoreError: that does not go.
        OSError: the same, where the store is a directory.

    """
    objects = open_agent_store(location, arch, scratch).objects
    written = b"dag doctor wrote this\n"
    objects.create(probe, written)
    try:
        objects.require_conditions(probe, written)
    finally:
        objects.delete(probe)


def read_named_record(store: Store, name: str) -> Record:
    """Return the record of this name.

    Raises:
        InfrastructureError: it is gone, damaged, or not what its name says.

    """
    parts, address = read_record_name(name), store.objects.address(name)
    if parts is None or parts.arch != store.arch.apk:
        raise InfrastructureError(f"{visible_line(name)} is no name of a record for {store.arch}")
    found = store.objects.read(name, RECORD)
    if found is None:
        raise InfrastructureError(f"{address} has gone meanwhile")
    try:
        record = decode_record(found.data)
    except Undecodable as error:
        raise InfrastructureError(f"{address} is damaged: {error}") from error
    if record_name(store.arch.apk, record) != name:
        raise InfrastructureError(f"{address} is the record of something else")
    return record


def publish_order(
    store: Store, order: PublishOrder, signature: IndexSignature, message: Path
) -> None:
    """Publish records of a store, and its index if its signature is there; answer in `message`.

    Raises:
        InfrastructureError: a record is gone or damaged, or the store cannot be written.

    """
    _make(store)
    store.lock.acquire(wait=True, say=say)
    try:
        store.read()
        before = dict(store.records)
        records = [read_named_record(store, name) for name in decode_texts(order.records)]
        # The index is signed, and says of each package which one it is.
        refused = publish_records(store, records, lambda _: None, say)
        published = sum(1 for unit, one in store.records.items() if before.get(unit) is not one)
        answer = _index(store, signature, published, anew=order.anew)
        message.write_bytes(encode_published(answer, refused))
    except Undecodable as error:
        raise InfrastructureError(f"the names of the records are damaged: {error}") from error
    finally:
        store.close()


def ask_signer(
    store: Store, identity: str, words: Sequence[str], patience: float, message: Path
) -> None:
    """Write a request into a store, and answer in `message` what the signer has answered.

    Raises:
        InfrastructureError: the request is damaged, or the signer refuses it or does not answer.

    """
    _make(store)
    try:
        request = SignedRequest(identity, unpack_words(words, SIGNING_REQUEST))
    except Undecodable as error:
        raise InfrastructureError(f"the request {identity} is damaged: {error}") from error
    found = await_answer(store.objects, store.arch.apk, request, patience=patience, say=say)
    answer = PublishAnswer(
        left_out=tuple(visible_line(one)[:60] for one in found.left_out[:3]),
        left_out_count=found.left_out_count,
    )
    refused = {name: visible_line(why) for name, why in found.refused.items()}
    message.write_bytes(encode_published(answer, refused))


def keep_run(store: Store, ended: EndedRun) -> None:
    """Keep the journal and the result of a run in a store, beside the logs of its units.

    What its units turned out to need is remembered.

    Raises:
        InfrastructureError: they are damaged, or the store cannot be written.

    """
    _make(store)
    store.hints.remember(ended.ram, say)
    store.disk_hints.remember(ended.disk, say)
    if not ended.files:
        return
    names = RunNames(ended.run, store.arch.apk)
    try:
        files = decode_files(ended.files)
    except Undecodable as error:
        raise InfrastructureError(f"the files of run {ended.run} are damaged: {error}") from error
    # A run that somebody has gone on with is there already, as far as it had come.
    store.objects.write(names.journal, files.journal)
    store.objects.write(names.result, files.result)


def _make(store: Store) -> None:
    os.umask(0o022)
    store.prepare()


def keep_public(store: Store, name: str, public: bytes) -> None:
    """Keep the public half of a key beside the index; that of the store's own key stays as it is."""
    if name != PUBLIC_OBJECT:
        store.objects.write(name, public)
        return
    store.objects.create(name, public)
    found = store.objects.read(name, PUBLIC_KEY)
    if found is None or found.data != public:
        raise InfrastructureError(
            f"{store.objects.address(name)} is of another key than the one that signs here",
            hint="sign with the store's own key, or give the file of --signing-key another name",
        )


def _index(store: Store, signature: IndexSignature, published: int, *, anew: bool) -> PublishAnswer:
    def sign(path: Path) -> None:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest != signature.digest:
            raise _Unsigned(digest)
        signed = base64.b64decode(signature.signature)
        path.write_bytes(pack_signature(signature.public_name, signed) + data)

    public = base64.b64decode(signature.public_key)
    keep_public(store, f"key/{signature.public_name}", public)
    try:
        write_index(store, sign, say, key=signature.public_name, anew=anew)
    except _Unsigned as unsigned:
        return PublishAnswer(published=published, unsigned=str(unsigned))
    return PublishAnswer(published=published)
