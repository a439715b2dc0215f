"""What requests of one store have attested for one architecture, and how a signer remembers it.

Whoever can write a store can write what the signer remembers there, too. So that is signed with the key
of the signer, and says of each unit which engine has attested it: who no longer trusts an engine no longer
trusts what that has attested.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
from msgspec import Struct

from dag.core.decoding import Undecodable, decode
from dag.core.limits import ATTESTATIONS
from dag.core.package.apk import Digest, PathPart
from dag.core.package.signature import PublicKey
from dag.core.store.records import Record
from dag.core.store.requests import (
    Identity,
    RequestedUnit,
    RunId,
    Sign,
    SigningRequest,
    decode_signed,
    encode_signed,
    facts_of,
    fingerprint_of,
)

_DOMAIN = b"dag attested units\n"


class AttestedUnit(Struct, frozen=True, array_like=True):
    """The result of one version of a unit that counts."""

    name: PathPart
    version: PathPart
    """`VERSION-rEPOCH`."""
    facts: Digest
    """The hash of what an index says of it: see `facts_of`."""
    request: RunId
    """The request that has attested it."""
    engine: Digest
    """Who has signed that; see `fingerprint_of`."""


class _AttestedUnits(Struct, frozen=True, kw_only=True, tag_field="format", tag=1):
    arch: PathPart
    store: Identity
    units: tuple[AttestedUnit, ...]


_UNITS = msgspec.json.Decoder(_AttestedUnits)


class Attestations:
    """What all requests of one store have attested for one architecture."""

    def __init__(self, units: Iterable[AttestedUnit] = ()) -> None:
        self._newest = {(one.name, one.version): one for one in units}
        self._size = sum(map(_size_of, self._newest.values()))

    @property
    def units(self) -> tuple[AttestedUnit, ...]:
        """Return the result of each version that counts, sorted."""
        return tuple(one for _, one in sorted(self._newest.items()))

    @property
    def fits(self) -> bool:
        """Return whether a signer remembers all that."""
        return 2 * self._size <= ATTESTATIONS.most

    def add(self, request: SigningRequest, engine: str) -> None:
        """Count a request whose signature is right, and is of this engine.

        Raises:
            TooLarge: there is more than a signer remembers; then none of it counts.

        """
        newer: dict[tuple[str, str], AttestedUnit] = {}
        for one in request.units:
            unit = (one.name, one.version)
            before = newer.get(unit) or self._newest.get(unit)
            if one.is_attested and (before is None or before.request <= request.id):
                newer[unit] = AttestedUnit(*unit, one.facts, request.id, engine)
        replaced = (self._newest[unit] for unit in newer.keys() & self._newest.keys())
        size = self._size + sum(map(_size_of, newer.values())) - sum(map(_size_of, replaced))
        if size > self._size:
            ATTESTATIONS.check(2 * size, f"with the request {request.id}, the store")
        self._newest |= newer
        self._size = size

    def merge(self, other: Attestations) -> None:
        """Count also what another signer has counted meanwhile."""
        for unit, one in other._newest.items():
            before = self._newest.get(unit)
            if before is None or before.request < one.request:
                self._newest[unit] = one
        self._size = sum(map(_size_of, self._newest.values()))

    def keep(self, names: Collection[str]) -> None:
        """Forget all units but those of these names."""
        self._newest = {unit: one for unit, one in self._newest.items() if one.name in names}
        self._size = sum(map(_size_of, self._newest.values()))

    def accepts(self, record: Record) -> bool:
        """Return whether just this was attested, and no other result of its version later."""
        found = self._newest.get((record.name, record.version))
        return found is not None and found.facts == facts_of(record)

    def why_not(self, unit: RequestedUnit) -> str:
        """Return why a unit cannot be published; empty if it can, as far as requests tell."""
        found = self._newest.get((unit.name, unit.version))
        if found is None:
            return "no request has attested it, so nobody knows who wrote its record"
        if found.facts != unit.facts:
            return f"the later request {found.request} has attested another result of this version"
        return ""


def _size_of(unit: AttestedUnit) -> int:
    return len(msgspec.json.encode(unit))


def encode_attested(attested: Attestations, arch: str, store: str, sign: Sign) -> bytes:
    """Return what has been attested for an architecture of a store, with a signature.

    Raises:
        TooLarge: no signer would read it.

    """
    body = msgspec.json.encode(_AttestedUnits(arch=arch, store=store, units=attested.units))
    data = encode_signed(_DOMAIN, body, sign)
    ATTESTATIONS.check(len(data), "what the signer remembers")
    return data


def decode_attested(
    data: bytes, arch: str, store: str, own: PublicKey, engines: Collection[PublicKey]
) -> Attestations:
    """Return what `encode_attested` wrote of this store, as far as engines are trusted.

    Where another key has signed it, such as the one before, it counts if that is trusted as an engine,
    and then all of it is what that has attested.

    Raises:
        Undecodable: nobody who is trusted has signed it, or it is something else.

    """
    body, key = decode_signed(_DOMAIN, data, [own, *engines], ATTESTATIONS)
    found = decode(_UNITS, body, limit=ATTESTATIONS.most)
    if (found.arch, found.store) != (arch, store):
        raise Undecodable("it is of another store or architecture")
    if key != own:
        engine = fingerprint_of(key)
        return Attestations(msgspec.structs.replace(one, engine=engine) for one in found.units)
    trusted = {fingerprint_of(one) for one in engines}
    return Attestations(one for one in found.units if one.engine in trusted)
