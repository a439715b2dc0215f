"""Requests to a signer that is apart: what it is to publish, attested by whoever saw it proven.

Whoever can write a store can write anything there. So a request is signed with the key of the engine,
which alone has seen what the agents of its units answered, and the signer knows the public half. A record
counts if a request has attested it; of several that attest the same version of a unit, the newest: see
`dag.core.store.attested`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from dag.core.decoding import Undecodable, decode
from dag.core.limits import SIGNING_REQUEST, Limit
from dag.core.package.apk import Digest, PathPart
from dag.core.package.signature import PublicKey, Signature, verify
from dag.core.store.layout import RecordName
from dag.core.store.records import Record

_DOMAIN = b"dag signing request\n"
"""What is signed begins with this, so that a signature is good for nothing else."""
_KEY = "engine.rsa.pub"

RunId = Annotated[str, Meta(pattern=r"^\d{8}-\d{6}-[0-9a-f]{6}\Z")]
Identity = Annotated[str, Meta(pattern=r"^[0-9a-zA-Z]{32}\Z")]
Sign = Callable[[bytes], bytes]
"""Returns the signature of what has a SHA-256."""


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


class SignedRequest(Struct, frozen=True):
    """A request, as a store has it."""

    id: str
    data: bytes
    """The request and its signature, see `encode_request`."""


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
    left_out: tuple[str, ...] = ()
    """The packages that the index listed before and no longer does, for lack of an attestation; a few."""
    left_out_count: Annotated[int, Meta(ge=0)] = 0
    """How many there are of these."""


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


def fingerprint_of(key: PublicKey) -> str:
    """Return a hash by which a public key is known, in hexadecimal digits."""
    return hashlib.sha256(f"{key.modulus:x} {key.exponent:x}".encode()).hexdigest()


def encode_signed(domain: bytes, body: bytes, sign: Sign) -> bytes:
    """Return a text with its signature, which is good for nothing of another `domain`."""
    return msgspec.json.encode(_Signed(body=body, signature=sign(_digest(domain, body))))


def decode_signed(
    domain: bytes, data: bytes, keys: Iterable[PublicKey], limit: Limit
) -> tuple[bytes, PublicKey]:
    """Return the text that `encode_signed` wrote, and the one of these keys that has signed it.

    Raises:
        Undecodable: none of them has signed it, or it is something else.

    """
    signed = decode(_SIGNED, data, limit=limit.most)
    found = [Signature(_KEY, "sha256", signed.signature)]
    hashes = {"sha256": _digest(domain, signed.body)}
    for key in keys:
        if verify(found, hashes, {_KEY: key}):
            return signed.body, key
    raise Undecodable("no engine that is trusted has signed it")


def encode_request(request: SigningRequest, sign: Sign) -> bytes:
    """Return a request with its signature; `sign` signs what has a SHA-256.

    Raises:
        TooLarge: no signer would take it.

    """
    data = encode_signed(_DOMAIN, msgspec.json.encode(request), sign)
    SIGNING_REQUEST.check(len(data), "the request to the signer")
    return data


def decode_request(data: bytes, keys: Iterable[PublicKey]) -> tuple[SigningRequest, str]:
    """Return the request that `encode_request` wrote, and which of these keys has signed it.

    Nothing of it is looked at before that is sure. The key is told by `fingerprint_of`.

    Raises:
        Undecodable: nobody who is trusted has signed it, or it is something else.

    """
    body, key = decode_signed(_DOMAIN, data, keys, SIGNING_REQUEST)
    return decode(_REQUEST, body, limit=SIGNING_REQUEST.most), fingerprint_of(key)


def encode_signing_answer(answer: SigningAnswer) -> bytes:
    """Return an answer as JSON."""
    return msgspec.json.encode(answer)


def decode_signing_answer(data: bytes) -> SigningAnswer:
    """Return the answer that `encode_signing_answer` wrote.

    Raises:
        Undecodable: it is something else.

    """
    return decode(_ANSWER, data, limit=SIGNING_REQUEST.most)


def _digest(domain: bytes, body: bytes) -> bytes:
    return hashlib.sha256(domain + body).digest()
