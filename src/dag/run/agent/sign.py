"""The signer that is apart: publishes and signs what requests ask for that a trusted engine has signed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dag.core.arch import ARCHITECTURES, DEFAULT_ARCH, Arch
from dag.core.decoding import Undecodable
from dag.core.limits import PUBLIC_KEY, SIGNING_REQUEST, TooLarge
from dag.core.package.signature import PublicKey, read_public_key
from dag.core.store.layout import REQUESTS, answer_name, read_request_name
from dag.core.store.records import Record
from dag.core.store.requests import (
    Attestations,
    RequestedUnit,
    SigningAnswer,
    SigningRequest,
    decode_request,
    encode_signing_answer,
    facts_of,
)
from dag.core.visible import visible_line
from dag.errors import DagError, InfrastructureError
from dag.io.files import read_bytes
from dag.io.package.keypairs import public_text
from dag.io.package.signing import SigningKey
from dag.io.store.index import write_index
from dag.io.store.local import Store
from dag.io.store.objects import Objects
from dag.io.store.ownkey import identity_of
from dag.report.terminal import say
from dag.report.words import count
from dag.run.agent.places import open_agent_store
from dag.run.agent.store import keep_public, read_named_record
from dag.run.build.signing import publish_records


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs, and whom that one trusts."""

    key: SigningKey
    engines: tuple[PublicKey, ...]
    """The public halves of the keys of engines."""
    trusts_store: bool = False
    """Whether records count that no request has attested, as they are in the store."""


def read_signer(key: Path, public_name: str, engines: Iterable[Path], *, trust: bool) -> Signer:
    """Return the signer whose keys are in these files.

    Raises:
        InfrastructureError: one of them cannot be read, or is no key.

    """
    found = []
    for path in engines:
        try:
            public = read_public_key(read_bytes(path, PUBLIC_KEY))
        except OSError as error:
            raise InfrastructureError(f"{path}: {error.strerror}") from error
        if public is None:
            raise InfrastructureError(f"{path} is no public RSA key in PEM")
        found.append(public)
    signer = Signer(key=SigningKey(key, public_name), engines=tuple(found), trusts_store=trust)
    signer.key.sign_digest(bytes(32))  # it can, or says why not
    return signer


def answer_requests(store: Store, signer: Signer) -> int:
    """Answer the requests of a store for its architecture that have no answer; return how many.

    Raises:
        InfrastructureError: the store cannot be read or written.

    """
    store.prepare()
    store.lock.acquire(wait=True, say=say)
    try:
        return _Signing(store, signer).answer()
    finally:
        store.close()


def answer_all(
    location: str, archs: Iterable[Arch], scratch: Path, signer: Signer, *, check: bool
) -> int:
    """Answer the requests of a store for these architectures, or for all that it has requests of.

    Returns how many. With `check` none is answered, and the public half of the key is all that comes to
    the store.

    Raises:
        InfrastructureError: the store cannot be read or written, or no engine is trusted.

    """
    if not signer.engines:
        raise InfrastructureError(
            "no key of an engine is known, so no request could be trusted",
            hint="`dag setup signer --engine-key FILE` names the public half of one",
        )
    first = open_agent_store(location, Arch.parse(DEFAULT_ARCH), scratch)
    asked = {one.rpartition("/")[2] for one in first.objects.names(REQUESTS)}
    if check:
        first.prepare()
        _keep_public(first, signer.key)
    first.close()
    each = archs or (Arch.parse(one) for one in ARCHITECTURES if f"{one}.json" in asked)
    return sum(
        answer_requests(open_agent_store(location, one, scratch), signer)
        for one in (() if check else each)
    )


class _Signing:
    def __init__(self, store: Store, signer: Signer) -> None:
        self._store = store
        self._signer = signer
        self._arch = store.arch.apk
        self._attested = Attestations()
        if not signer.trusts_store:
            store.stored.accepts = self._attested.accepts

    def answer(self) -> int:
        objects, arch = self._store.objects, self._arch
        names = {*objects.names(REQUESTS)}
        asked = {name: one for name in sorted(names) if (one := read_request_name(name, arch))}
        pending = [one for one in asked.values() if answer_name(one, arch) not in names]
        if not pending:
            return 0
        requests: dict[str, SigningRequest] = {}
        for name, identity in asked.items():
            try:
                requests[identity] = self._read(objects, name, identity)
            except (Undecodable, TooLarge) as error:
                if identity in pending:
                    self._write(identity, SigningAnswer(error=str(error)))
            else:
                self._attested.add(requests[identity])
        self._store.read()
        answers = {
            identity: self._publish(requests[identity])
            for identity in pending
            if identity in requests
        }
        if answers:
            self._sign_index()
        for identity, answer in answers.items():
            self._write(identity, answer)
        return len(pending)

    def _read(self, objects: Objects, name: str, identity: str) -> SigningRequest:
        """Return a request that is for this store and architecture, and has its own name.

        Raises:
            Undecodable: it is another one, or none.
            TooLarge: it is too long to be looked at.

        """
        found = objects.read(name, SIGNING_REQUEST)
        if found is None:
            raise Undecodable("it is gone")
        request = decode_request(found.data, self._signer.engines)
        for what, wanted, said in (
            ("the name", identity, request.id),
            ("the architecture", self._arch, request.arch),
            ("the store", identity_of(self._store), request.store),
        ):
            if wanted != said:
                raise Undecodable(f"it is for {what} {visible_line(said)}, and not {wanted}")
        return request

    def _publish(self, request: SigningRequest) -> SigningAnswer:
        """Publish what a request names, as far as it is attested and in the store."""
        refused: dict[str, str] = {}
        records = []
        for unit in request.units:
            try:
                records.append(self._record(unit))
            except DagError as error:
                refused[unit.name] = error.message
        # The index is signed, and says of each package which one it is.
        refused |= publish_records(self._store, records, lambda _: None, say)
        published = sum(one.name not in refused for one in records)
        return SigningAnswer(published=published, refused=refused)

    def _record(self, unit: RequestedUnit) -> Record:
        """Return the record of a unit.

        Raises:
            InfrastructureError: it is not attested, not there, or another one.

        """
        why = "" if self._signer.trusts_store else self._attested.why_not(unit)
        if why:
            raise InfrastructureError(why)
        record = read_named_record(self._store, unit.record_name(self._arch))
        if facts_of(record) != unit.facts:
            raise InfrastructureError("its record says something else than the request")
        return record

    def _sign_index(self) -> None:
        key = self._signer.key
        _keep_public(self._store, key)

        def sign(path: Path) -> None:
            path.write_bytes(key.sign(path.read_bytes()))

        # Whatever is there may be anybody's.
        write_index(self._store, sign, say, key=key.public_name, anew=True)

    def _write(self, identity: str, answer: SigningAnswer) -> None:
        self._store.objects.create(answer_name(identity, self._arch), encode_signing_answer(answer))
        say(_words(identity, answer))


def _keep_public(store: Store, key: SigningKey) -> None:
    keep_public(store, f"key/{key.public_name}", public_text(key.path))


def _words(identity: str, answer: SigningAnswer) -> str:
    if answer.error:
        return f"the request {identity} is refused: {visible_line(answer.error)}"
    said = f"the request {identity}: {count(answer.published, 'unit')} published"
    return f"{said}, {len(answer.refused):,} refused" if answer.refused else said
