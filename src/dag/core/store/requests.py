"""Requests to a signer that is apart: what it is to publish, attested by whoever saw it proven.

Whoever can write a store can write anything there. So a request is signed with the key of the engine,
which alone has seen what the agents of its units answered, and the signer knows the public half. A record
counts if a request has attested it; of several that attest the same version of a unit, the newest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from dag.core.decoding import Undecodable, decode
from dag.core.limits import SIGNING_REQUEST
from dag.core.package.apk import Digest, PathPart
from dag.core.package.signature import PublicKey, Signature, verify
from dag.core.store.layout import RecordName
from dag.core.store.records import Record

_DOMAIN = b"dag signing request\n"
"""What is signed begins with this, so that a signature is good for nothing else."""
_KEY = "engine.rsa.pub"

RunId = Annotated[str, Meta(pattern=r"^\d{8}-\d{6}-[0-9a-f]{6}\Z")]
Identity = Annotated[str, Meta(pattern=r"^[0-9a-zA-Z]{32}\Z")]


class RequestedUnit(Struct, frozen=True, array_like=True):
    """A unit that is to be published."""

    name: PathPart
    version: PathPart
    """`VERSION-rEPOCH`."""
    key: Digest
    result: Digest
    facts: Digest
    """The hash of what an index says of it: see `facts_of`."""
    is_attested: bool
    """Whether the engine has seen itself how this was proven."""

    def record_name(self, arch: str) -> str:
        """Return the name of its record."""
        return str(RecordName(arch, self.name, self.key, self.result))


class SigningRequest(Struct, frozen=True, kw_only=True, tag_field="format", tag=1):
    """A request, as the engine signs it."""

    id: RunId
    """An id like that of a run; later ones sort behind it."""
    run: str
    """The run that asks; empty if nothing was built for it."""
    arch: PathPart
    store: Identity
    """The name of the store that no other has."""
    units: tuple[RequestedUnit, ...]


class _Signed(Struct, frozen=True, kw_only=True):
    body: bytes
    signature: bytes


class SigningAnswer(Struct, frozen=True, kw_only=True, tag_field="format", tag=1):
    """What came of a request."""

    published: int = 0
    """How many units are published of those that it names."""
    refused: dict[str, str] = {}
    """Why others are not, by their names."""
    error: str = ""
    """Why nothing was done at all; empty if something was."""


_REQUEST = msgspec.json.Decoder(SigningRequest)
_SIGNED = msgspec.json.Decoder(_Signed)
_ANSWER = msgspec.json.Decoder(SigningAnswer)


def facts_of(record: Record) -> str:
    """Return the hash of what of a record is published, and of its key, in hexadecimal digits."""
    facts = (record.name, record.version, record.key, [one.apk for one in record.built])
    return hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()


def request_unit(record: Record, *, is_attested: bool) -> RequestedUnit:
    """Return the request for a record."""
    return RequestedUnit(
        record.name, record.version, record.key, record.result, facts_of(record), is_attested
    )


def encode_request(request: SigningRequest, sign: Callable[[bytes], bytes]) -> bytes:
    """Return a request with its signature; `sign` signs what has a SHA-256.

    Raises:
        TooLarge: no signer would take it.

    """
    body = msgspec.json.encode(request)
    data = msgspec.json.encode(_Signed(body=body, signature=sign(_digest(body))))
    SIGNING_REQUEST.check(len(data), "the request to the signer")
    return data


def decode_request(data: bytes, keys: Iterable[PublicKey]) -> SigningRequest:
    """Return the request that `encode_request` wrote, if one of these keys has signed it.

    Nothing of it is looked at before that is sure.

    Raises:
        Undecodable: nobody who is trusted has signed it, or it is something else.

    """
    signed = decode(_SIGNED, data, limit=SIGNING_REQUEST.most)
    found = [Signature(_KEY, "sha256", signed.signature)]
    hashes = {"sha256": _digest(signed.body)}
    if not any(verify(found, hashes, {_KEY: key}) for key in keys):
        raise Undecodable("no engine that is trusted has signed it")
    return decode(_REQUEST, signed.body, limit=SIGNING_REQUEST.most)


def encode_signing_answer(answer: SigningAnswer) -> bytes:
    """Return an answer as JSON."""
    return msgspec.json.encode(answer)


def decode_signing_answer(data: bytes) -> SigningAnswer:
    """Return the answer that `encode_signing_answer` wrote.

    Raises:
        Undecodable: it is something else.

    """
    return decode(_ANSWER, data, limit=SIGNING_REQUEST.most)


class Attestations:
    """What all requests of one store have attested for one architecture."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], tuple[str, RequestedUnit]] = {}

    def add(self, request: SigningRequest) -> None:
        """Count a request whose signature is right."""
        for one in request.units:
            unit = (one.name, one.version)
            before = self._newest.get(unit)
            if one.is_attested and (before is None or before[0] <= request.id):
                self._newest[unit] = (request.id, one)

    def accepts(self, record: Record) -> bool:
        """Return whether just this was attested, and no other result of its version later."""
        found = self._newest.get((record.name, record.version))
        return found is not None and found[1].facts == facts_of(record)

    def why_not(self, unit: RequestedUnit) -> str:
        """Return why a unit cannot be published; empty if it can, as far as requests tell."""
        found = self._newest.get((unit.name, unit.version))
        if found is None:
            return "no request has attested it, so nobody knows who wrote its record"
        if found[1].facts != unit.facts:
            return f"the later request {found[0]} has attested another result of this version"
        return ""


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(_DOMAIN + body).digest()
