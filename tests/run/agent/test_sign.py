"""The signer signs what a trusted engine asks for, and nothing that anybody else wrote."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path, PurePath

import pytest
from msgspec.structs import replace

from dag.core.arch import Arch
from dag.core.limits import PACKAGE_INDEX, SIGNING_REQUEST
from dag.core.package.apk import PublishedApk, index_archive
from dag.core.package.signature import read_public_key
from dag.core.store.layout import answer_name, blob_name, record_name, request_name
from dag.core.store.records import Built, Record, encode_record
from dag.core.store.requests import (
    RequestedUnit,
    SigningAnswer,
    SigningRequest,
    decode_signing_answer,
    encode_request,
    request_unit,
)
from dag.errors import DagError, InfrastructureError, UsageError
from dag.io.package.apkindex import Index
from dag.io.package.signing import SigningKey
from dag.io.store.index import read_listing
from dag.io.store.local import Store
from dag.io.store.ownkey import identity_of
from dag.run.agent.sign import answer_requests, read_signer
from dag.run.build.apart import ask_signer, make_request
from tests.support.apks import make_apk
from tests.support.signing import SigningKey as KeyOnDisk

pytestmark = pytest.mark.long

ARCH = Arch.parse("x86_64")


@dataclass
class Site:
    """A store, the engine that builds into it, and the signer."""

    place: Path
    engine: KeyOnDisk
    distribution: KeyOnDisk
    turns: int = 0

    @property
    def store(self) -> Store:
        made = Store(self.place / "store", ARCH)
        made.prepare()
        return made

    def build(self, name: str, *, version: str = "1-r0", text: str = "x", key: str = "0") -> Record:
        """Return the record of a unit that the store has and nobody has published."""
        place = self.place / f"built-{len(list(self.place.iterdir()))}"
        place.mkdir()
        file = f"{name}-{version}.apk"
        make_apk(place / file, name, version, data=text.encode())
        store = self.store
        try:
            staged = store.blobs.stage(place, PurePath(file))
            record = Record(
                name=name,
                version=version,
                key=key * 64,
                fingerprint="",
                seconds=0,
                built=(Built(apk=staged.apk),),
            )
            store.promote(record, {file: staged}, publish=False)
        finally:
            store.close()
        return record

    def request(self, *units: Record | RequestedUnit, **fields: object) -> SigningRequest:
        self.turns += 1
        each = (
            one if isinstance(one, RequestedUnit) else request_unit(one, is_attested=True)
            for one in units
        )
        made = SigningRequest(
            id=f"20260829-141200-{self.turns:06x}",
            run="",
            arch=ARCH.apk,
            store=identity_of(self.store),
            units=tuple(each),
        )
        return replace(made, **fields)

    def ask(self, request: SigningRequest, *, key: KeyOnDisk | None = None, name: str = "") -> str:
        """Write a request, signed with the engine's key if not another, and return its id."""
        signing = SigningKey((key or self.engine).private, "engine.rsa.pub")
        data = encode_request(request, signing.sign_digest)
        name = name or request_name(request.id, ARCH.apk)
        self.store.objects.write(name, data)
        return request.id

    def sign(self, *, trust: bool = False) -> int:
        engines = [self.engine.public]
        signer = read_signer(self.distribution.private, "d.rsa.pub", engines, trust=trust)
        return answer_requests(self.store, signer)

    def answer(self, identity: str) -> SigningAnswer:
        found = self.store.objects.read(answer_name(identity, ARCH.apk), SIGNING_REQUEST)
        assert found is not None
        return decode_signing_answer(found.data)

    def asked(self, *units: Record | RequestedUnit, trust: bool = False) -> SigningAnswer:
        """Ask for units, have that signed, and return the answer."""
        identity = self.ask(self.request(*units))
        assert self.sign(trust=trust) == 1
        return self.answer(identity)

    def listed(self) -> list[str]:
        """Return the names and versions in the index, which the signer has signed if it is there."""
        found = self.store.files.read("x86_64/APKINDEX.tar.gz", PACKAGE_INDEX)
        if found is None:
            return []
        key = read_public_key(self.distribution.public.read_bytes())
        assert key is not None
        assert Index("", "", found.data).distrust({"d.rsa.pub": key}) is None
        lines = (one.split("\n") for one in read_listing(found.data, "").packages)
        each = ({line[:2]: line[2:] for line in one} for one in lines)
        return sorted(f"{one['P:']}-{one['V:']}" for one in each)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, KeyOnDisk(tmp_path, "engine.rsa"), KeyOnDisk(tmp_path, "d.rsa"))


def test_what_a_request_lists_is_published_and_signed_and_nothing_else(site: Site) -> None:
    one, two, three = (site.build(name) for name in ("one", "two", "three"))
    assert site.asked(one, two) == SigningAnswer(published=2)
    assert site.listed() == ["one-1-r0", "two-1-r0"]
    assert {path.name for path in (site.place / "store/x86_64").iterdir()} == {
        "APKINDEX.tar.gz",
        "one-1-r0.apk",
        "two-1-r0.apk",
    }
    public = site.place / "store/.dag/key/d.rsa.pub"
    assert read_public_key(public.read_bytes()) == read_public_key(
        site.distribution.public.read_bytes()
    )
    assert site.sign() == 0
    # What an earlier request attested stays in the index, and may be asked for again.
    wanted = request_unit(one, is_attested=False)
    assert site.asked(three, wanted) == SigningAnswer(published=2)
    assert site.listed() == ["one-1-r0", "three-1-r0", "two-1-r0"]


def test_who_can_write_the_store_and_has_not_the_engines_key_gets_nothing_signed(
    site: Site,
) -> None:
    evil = site.build("evil")
    stranger = KeyOnDisk(site.place, "stranger.rsa")
    identity = site.ask(site.request(evil), key=stranger)
    assert site.sign() == 1
    assert "no engine that is trusted has signed it" in site.answer(identity).error
    assert site.listed() == []
    # They publish it themselves, with an index, and wait for the engine's next request.
    store = site.store
    store.publish(evil, lambda _: None)
    apks = [PublishedApk(one.apk, one.apk.size) for one in evil.built]
    store.files.write("x86_64/APKINDEX.tar.gz", index_archive(apks))
    store.close()
    assert site.asked(site.build("one")).published == 1
    assert site.listed() == ["one-1-r0"]


def test_a_record_that_nobody_attested_counts_only_with_trust_in_the_store(site: Site) -> None:
    old = site.build("old")
    wanted = request_unit(old, is_attested=False)
    answer = site.asked(wanted)
    assert answer.published == 0
    assert "no request has attested it" in answer.refused["old"]
    assert site.listed() == []
    assert site.asked(wanted, trust=True) == SigningAnswer(published=1)
    assert site.listed() == ["old-1-r0"]


def test_a_replayed_request_brings_no_older_result_back(site: Site) -> None:
    old = site.build("one", text="with a hole")
    first = site.request(old)
    site.ask(first)
    site.sign()
    new = site.build("one", text="mended", key="1")
    assert site.asked(new).published == 1
    published = (site.place / "store/x86_64/one-1-r0.apk").read_bytes()
    # The answer goes, so that the request counts as new; or it gets another name.
    site.store.objects.delete(answer_name(first.id, ARCH.apk))
    assert site.sign() == 1
    assert "has attested another result of this version" in site.answer(first.id).refused["one"]
    again = "20990101-000000-000000"
    site.ask(first, name=request_name(again, ARCH.apk))
    assert site.sign() == 1
    assert "it is for the name" in site.answer(again).error
    assert (site.place / "store/x86_64/one-1-r0.apk").read_bytes() == published
    # Nor does it help to publish the older result in another way.
    store = site.store
    store.publish(old, lambda _: None)
    store.close()
    assert site.asked(site.build("two")).published == 1
    assert site.listed() == ["two-1-r0"]


def test_a_record_that_is_not_there_or_is_another_one_is_refused_by_name(site: Site) -> None:
    gone, changed, one = (site.build(name) for name in ("gone", "changed", "one"))
    objects = site.store.objects
    objects.delete(record_name(ARCH.apk, gone))
    other = site.build("changed", text="other", key="1")
    objects.write(record_name(ARCH.apk, changed), encode_record(other))
    answer = site.asked(gone, changed, one)
    assert answer.published == 1
    assert "has gone meanwhile" in answer.refused["gone"]
    assert "is the record of something else" in answer.refused["changed"]
    # Who changes what an index says, and no hash, is found out all the same.
    (built,) = changed.built
    apk = dataclasses.replace(built.apk, depends=("evil",))
    lying = replace(changed, built=(replace(built, apk=apk),))
    assert record_name(ARCH.apk, lying) == record_name(ARCH.apk, changed)
    objects.write(record_name(ARCH.apk, changed), encode_record(lying))
    assert "says something else than the request" in site.asked(changed).refused["changed"]
    assert site.listed() == ["one-1-r0"]


@pytest.mark.parametrize("kind", ["gone", "changed", "longer"])
def test_a_blob_that_differs_from_its_digest_is_refused_by_name(site: Site, kind: str) -> None:
    bad, one = site.build("bad"), site.build("one")
    path = site.place / "store/.dag" / blob_name(bad.built[0].apk.sha256)
    data = bytearray(path.read_bytes())
    path.unlink()
    data[-1] ^= 1
    if kind != "gone":
        path.write_bytes(bytes(data) if kind == "changed" else bytes(data) + b"more")
    answer = site.asked(bad, one)
    assert answer.published == 1
    assert "which is bad 1-r0, is" in answer.refused["bad"]
    assert site.listed() == ["one-1-r0"]


def test_a_request_for_another_architecture_or_store_is_refused(site: Site) -> None:
    one = site.build("one")
    for field, value in (("arch", "aarch64"), ("store", "f" * 32)):
        identity = site.ask(site.request(one, **{field: value}))
        assert site.sign() == 1
        assert f"and not {ARCH.apk if field == 'arch' else ''}" in site.answer(identity).error
    # One that lies where those of another architecture do is none of ours.
    made = site.request(one)
    site.ask(made, name=request_name(made.id, "aarch64"))
    assert site.sign() == 0
    assert site.listed() == []


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"{" * 100_000, b"\0" * 1000])
def test_what_is_no_request_is_refused_in_words(site: Site, data: bytes) -> None:
    name = "20260829-141200-ffffff"
    site.store.objects.write(request_name(name, ARCH.apk), data)
    assert site.sign() == 1
    assert site.answer(name).error
    assert site.asked(site.build("one")).published == 1


def test_a_request_that_is_too_long_is_not_read(site: Site) -> None:
    name = "20260829-141200-ffffff"
    path = site.place / "store/.dag" / request_name(name, ARCH.apk)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(SIGNING_REQUEST.most + 1)
    assert site.sign() == 1
    assert "which is the limit of a request to a signer" in site.answer(name).error


def test_a_name_that_leads_elsewhere_is_refused_although_an_engine_signed_it(site: Site) -> None:
    one = site.build("one")
    unit = replace(request_unit(one, is_attested=True), name="../../../x86_64")
    identity = site.ask(site.request(unit))
    assert site.sign() == 1
    assert site.answer(identity).error
    assert site.listed() == []


def test_who_asks_is_told_and_waits_no_longer_than_that(site: Site) -> None:
    one = site.build("one")
    store, said = site.store, list[str]()
    request = make_request(store, "", [one])
    with pytest.raises(InfrastructureError, match="has not answered the request"):
        ask_signer(store.objects, ARCH.apk, request, patience=0.2, say=said.append)
    waited = f"waiting for the signer to answer the request {request.id}, up to 0.2s: "
    assert said == [f"{waited}the CronJob that `dag setup signer` made answers when it runs again"]
    engine = site.place / "data/dag/keys/engine/engine.rsa.pub"
    signer = read_signer(site.distribution.private, "d.rsa.pub", [engine], trust=True)
    answer_requests(site.store, signer)
    assert ask_signer(store.objects, ARCH.apk, request, patience=0, say=said.append) == {}
    assert site.listed() == ["one-1-r0"]
    stranger = read_signer(site.distribution.private, "d.rsa.pub", [], trust=True)
    refused = make_request(store, "", [one])
    site.store.objects.write(request_name(refused.id, ARCH.apk), refused.data)
    answer_requests(site.store, stranger)
    with pytest.raises(InfrastructureError, match="the signer refuses the request"):
        ask_signer(store.objects, ARCH.apk, refused, patience=0, say=said.append)


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_keys_that_are_none_are_refused_before_anything(site: Site) -> None:
    site.ask(site.request(site.build("one")))
    nothing = site.place / "none"
    with pytest.raises(DagError):
        read_signer(nothing, "d.rsa.pub", [site.engine.public], trust=False)
    with pytest.raises(InfrastructureError, match="No such file"):
        read_signer(site.distribution.private, "d.rsa.pub", [nothing], trust=False)
    nothing.write_text("no key")
    with pytest.raises(InfrastructureError, match="is no public RSA key"):
        read_signer(site.distribution.private, "d.rsa.pub", [nothing], trust=False)
    with pytest.raises((InfrastructureError, UsageError), match="is no RSA key"):
        read_signer(nothing, "d.rsa.pub", [site.engine.public], trust=False)
