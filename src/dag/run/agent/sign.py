"""The signer that is apart: publishes and signs what requests ask for that a trusted engine has signed.

What requests have attested it remembers in the store, signed with its key. So it reads each request once,
and those that are answered need not stay.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from dag.core.arch import ARCHITECTURES, DEFAULT_ARCH, Arch
from dag.core.decoding import Undecodable
from dag.core.limits import ATTESTATIONS, PACKAGE_INDEX, PUBLIC_KEY, SIGNING_REQUEST, TooLarge
from dag.core.package.apkindex import INDEX_FILE
from dag.core.package.signature import PublicKey, read_public_key
from dag.core.store.attested import Attestations, decode_attested, encode_attested
from dag.core.store.layout import (
    RECORDS,
    REQUESTS,
    answer_name,
    attested_name,
    make_run_id,
    read_request_name,
    request_name,
)
from dag.core.store.records import Record
from dag.core.store.requests import (
    RequestedUnit,
    SigningAnswer,
    SigningRequest,
    decode_request,
    encode_signing_answer,
    facts_of,
)
from dag.core.store.upkeep import unneeded_requests
from dag.core.visible import visible_line
from dag.errors import DagError, InfrastructureError
from dag.io.files import read_bytes
from dag.io.package.keypairs import public_text
from dag.io.package.signing import SigningKey
from dag.io.store.index import read_listing, write_index
from dag.io.store.local import Store
from dag.io.store.objects import Objects, update
from dag.io.store.ownkey import identity_of
from dag.report.terminal import say
from dag.report.words import count
from dag.run.agent.places import open_agent_store
from dag.run.agent.store import keep_public, read_named_record
from dag.run.build.apart import NAMED, left_out_words
from dag.run.build.signing import publish_records
from dag.run.store.upkeep import remove_requests

_MOST_NAMES = 100_000
"""So many objects are looked at where requests lie."""
_AT_ONCE = 1000
"""So many requests are answered in one turn."""
_BYTES_AT_ONCE = 2 * SIGNING_REQUEST.most
"""No further request is read in a turn once those that were read have more bytes."""
_AHEAD = 86400.0
"""Seconds for which the clock of who asks may be ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs, and whom that one trusts."""

    key: SigningKey
    public: PublicKey
    """Its public half."""
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
    signing = SigningKey(key, public_name)
    signing.sign_digest(bytes(32))  # it can, or says why not
    public = read_public_key(public_text(key))
    if public is None:
        raise InfrastructureError(
            f"{key} is no key that can sign", hint="`melange keygen` makes one"
        )
    return Signer(key=signing, public=public, engines=tuple(found), trusts_store=trust)


def answer_requests(store: Store, signer: Signer) -> int:
    """Answer the requests of a store for its architecture that have no answer; return how many.

    Of very many, the next turn answers the rest.

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
    ages = _ages_of_requests(first.objects)
    asked = {one.rpartition("/")[2] for one in ages}
    if check:
        first.prepare()
        _keep_public(first, signer.key)
    first.close()
    each = archs or (Arch.parse(one) for one in ARCHITECTURES if f"{one}.json" in asked)
    if check:
        return 0
    answered = sum(
        answer_requests(open_agent_store(location, one, scratch), signer) for one in each
    )
    remove_requests(first.objects, unneeded_requests(ages))
    return answered


def _ages_of_requests(objects: Objects) -> dict[str, float]:
    """Return the names of what lies where requests do, each with its age in seconds."""
    return {one.name: one.age for one in islice(objects.list(REQUESTS), _MOST_NAMES)}


class _Signing:
    def __init__(self, store: Store, signer: Signer) -> None:
        self._store = store
        self._signer = signer
        self._arch = store.arch.apk
        self._attested = Attestations()

    def answer(self) -> int:
        objects, arch = self._store.objects, self._arch
        names = _ages_of_requests(objects).keys()
        asked = sorted(one for name in names if (one := read_request_name(name, arch)))
        pending = [one for one in asked if answer_name(one, arch) not in names]
        if not pending:
            return 0
        self._remember([one for one in asked if answer_name(one, arch) in names])
        answers: dict[str, SigningAnswer] = {}
        requests, size = [], 0
        for identity in pending[:_AT_ONCE]:
            if size > _BYTES_AT_ONCE:
                break
            try:
                request, read = self._read(identity)
            except (Undecodable, TooLarge) as error:
                answers[identity] = SigningAnswer(error=str(error))
            else:
                requests.append(request)
                size += read
        if not self._signer.trusts_store:
            self._store.stored.accepts = self._attested.accepts
        self._store.read()
        done = {one.id: self._publish(one) for one in requests}
        left_out = self._sign_index() if done else []
        told = tuple(visible_line(one)[:100] for one in left_out[:NAMED])
        for identity, answer in done.items():
            answers[identity] = replace(answer, left_out=told, left_out_count=len(left_out))
        for identity, answer in answers.items():
            self._write(identity, answer)
        if (rest := len(pending) - len(answers)) > 0:
            say(f"{count(rest, 'request')} for {arch} left for the next turn")
        return len(answers)

    def _remember(self, answered: Iterable[str]) -> None:
        """Find out what earlier requests have attested.

        Where it is not remembered, such as with a new key, those count that are still there.
        """
        objects, name = self._store.objects, attested_name(self._arch)
        try:
            if (found := objects.read(name, ATTESTATIONS)) is not None:
                self._attested = self._decode(found.data)
                return
        except (Undecodable, TooLarge) as error:
            say(
                f"{objects.address(name)}, which has what was attested before, does not count: "
                f"{visible_line(str(error))}. If the key that signs was changed, `dag setup signer "
                "--engine-key FILE` trusts what the one before has remembered, whose public half FILE is"
            )
            if isinstance(error, TooLarge):
                objects.delete(name)  # what cannot be read cannot be replaced either
        for identity in sorted(answered, reverse=True)[:_AT_ONCE]:
            with suppress(Undecodable, TooLarge):
                self._read(identity)

    def _decode(self, data: bytes) -> Attestations:
        signer = self._signer
        store = identity_of(self._store)
        return decode_attested(data, self._arch, store, signer.public, signer.engines)

    def _keep_remembered(self) -> bool:
        """Remember what was attested; return False if it was known here, and remembered, just so.

        Another signer may have answered other requests meanwhile, and that counts, too.
        """
        objects, identity = self._store.objects, identity_of(self._store)
        known, same = self._attested.units, list[bool]()

        def change(there: bytes | None) -> bytes:
            with suppress(Undecodable):
                self._attested.merge(self._decode(there or b""))
            if not self._attested.fits:
                self._forget_gone()
            sign = self._signer.key.sign_digest
            mine = encode_attested(self._attested, self._arch, identity, sign)
            same.append(mine == there and known == self._attested.units)
            return mine

        update(objects, attested_name(self._arch), ATTESTATIONS, change)
        return not same[-1]

    def _forget_gone(self) -> None:
        """Forget units of which the store has no record of any version."""
        self._attested.keep({*self._store.objects.folders(f"{RECORDS}/{self._arch}")})

    def _read(self, identity: str) -> tuple[SigningRequest, int]:
        """Count a request that is for this store and architecture, and has its own name.

        Returns it, and how many bytes it has.

        Raises:
            Undecodable: it is another one, or none.
            TooLarge: it is too long to be looked at, or names more than a signer remembers.

        """
        found = self._store.objects.read(request_name(identity, self._arch), SIGNING_REQUEST)
        if found is None:
            raise Undecodable("it is gone")
        request, engine = decode_request(found.data, self._signer.engines)
        for what, wanted, said in (
            ("the name", identity, request.id),
            ("the architecture", self._arch, request.arch),
            ("the store", identity_of(self._store), request.store),
        ):
            if wanted != said:
                raise Undecodable(f"it is for {what} {visible_line(said)}, and not {wanted}")
        if request.id > make_run_id(time.time() + _AHEAD, "fff"):
            raise Undecodable(
                "it is of a time to come, so no later one could count: set the clock of the machine "
                "that asks"
            )
        try:
            self._attested.add(request, engine)
        except TooLarge:
            self._forget_gone()
            self._attested.add(request, engine)
        return request, len(found.data)

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

    def _sign_index(self) -> list[str]:
        """Sign the index, and remember what was attested.

        Returns what the index listed before and does no longer, because nobody has attested it.
        """
        store, key = self._store, self._signer.key
        _keep_public(store, key)
        before = store.files.read(f"{self._arch}/{INDEX_FILE}", PACKAGE_INDEX)
        listed = read_listing(before.data if before else b"", INDEX_FILE).names()

        def sign(path: Path) -> None:
            path.write_bytes(key.sign(path.read_bytes()))

        self._keep_remembered()
        # Whatever is there may be anybody's.
        write_index(store, sign, say, key=key.public_name, anew=True)
        while self._keep_remembered():  # another signer's index may have gone under ours
            store.read()
            write_index(store, sign, say, key=key.public_name, anew=True)
        gone = (store.stored.unaccepted - store.records.keys()) & listed
        return [f"{name} {version}" for name, version in sorted(gone)]

    def _write(self, identity: str, answer: SigningAnswer) -> None:
        self._store.objects.create(answer_name(identity, self._arch), encode_signing_answer(answer))
        say(_words(identity, answer))


def _keep_public(store: Store, key: SigningKey) -> None:
    keep_public(store, f"key/{key.public_name}", public_text(key.path))


def _words(identity: str, answer: SigningAnswer) -> str:
    if answer.error:
        return f"the request {identity} is refused: {visible_line(answer.error)}"
    said = f"the request {identity}: {count(answer.published, 'unit')} published"
    said += f", {len(answer.refused):,} refused" if answer.refused else ""
    if answer.left_out_count:
        said += f"; {left_out_words(answer.left_out, answer.left_out_count)}"
    return said
