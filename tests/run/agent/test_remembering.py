"""What requests have attested outlives them: the signer remembers it, and answered requests go."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from dag.core.jobs.listing import decode_published
from dag.core.jobs.packing import pack_words
from dag.core.limits import ATTESTATIONS, SIGNING_REQUEST
from dag.core.package.apk import PublishedApk, index_archive
from dag.core.package.signature import read_public_key
from dag.core.store.attested import decode_attested
from dag.core.store.layout import answer_name, attested_name, make_run_id, request_name
from dag.core.store.records import Record
from dag.core.store.requests import encode_request, request_unit
from dag.io.package.signing import SigningKey
from dag.io.store.directory import DirectoryObjects
from dag.io.store.local import Store
from dag.io.store.objects import BucketObjects
from dag.io.store.ownkey import identity_of
from dag.io.store.places import StorePlace
from dag.io.store.seen import SeenRecords
from dag.run.agent.sign import answer_all, answer_requests, read_signer
from dag.run.agent.store import ask_signer as agent_asks
from dag.run.build.apart import ask_signer, left_out_words, make_request
from dag.run.store.upkeep import prune_store
from tests.run.agent.test_sign import ARCH, Site, data_home, site
from tests.support.signing import SigningKey as KeyOnDisk

__all__ = ["data_home", "site"]

pytestmark = pytest.mark.long

DAY = 86400.0


def requests(site: Site) -> list[str]:
    """Return the names of what lies where requests do."""
    return sorted(site.store.objects.names("requests"))


def let_pass(site: Site, days: float, *names: str) -> None:
    """Let objects be as old as if so many days had passed."""
    for name in names:
        path = site.place / "store/.dag" / name
        then = time.time() - days * DAY
        os.utime(path, (then, then))


def turn(site: Site, key: KeyOnDisk | None = None, *engines: KeyOnDisk) -> int:
    """Have the signer do what its CronJob does; return how many requests it has answered."""
    keys = [one.public for one in engines or (site.engine,)]
    signer = read_signer((key or site.distribution).private, "d.rsa.pub", keys, trust=False)
    return answer_all(str(site.place / "store"), [], site.place / "scratch", signer, check=False)


def test_an_answered_request_goes_and_what_it_has_attested_stays(site: Site) -> None:
    one = site.build("one")
    first = site.ask(site.request(one))
    assert turn(site) == 1
    there = requests(site)
    assert there == [answer_name(first, ARCH.apk), request_name(first, ARCH.apk)]
    let_pass(site, 6, *there)
    assert turn(site) == 0
    assert requests(site) == there
    let_pass(site, 8, *there)
    assert turn(site) == 0
    assert requests(site) == []
    assert not (site.place / "store/.dag/requests" / first).exists()
    # What nobody has attested again is still attested, and an older result is still none.
    assert site.asked(site.build("two"), request_unit(one, is_attested=False)).published == 2
    assert site.listed() == ["one-1-r0", "two-1-r0"]


def test_an_answered_request_is_not_read_again(site: Site) -> None:
    first = site.ask(site.request(site.build("one")))
    assert turn(site) == 1
    site.store.objects.write(request_name(first, ARCH.apk), b"no request")
    assert site.asked(site.build("two")).published == 1
    assert site.listed() == ["one-1-r0", "two-1-r0"]


def test_an_older_result_does_not_come_back_when_its_later_request_went(site: Site) -> None:
    old = site.build("one", text="with a hole")
    first = site.request(old)
    site.ask(first)
    turn(site)
    site.ask(site.request(site.build("one", text="mended", key="1")))
    turn(site)
    let_pass(site, 8, *requests(site))
    turn(site)
    assert requests(site) == []
    site.ask(first)
    assert turn(site) == 1
    assert "has attested another result of this version" in site.answer(first.id).refused["one"]


def test_what_waits_for_an_answer_stays_and_so_does_what_is_no_request(site: Site) -> None:
    objects = site.store.objects
    waits, odd = "requests/20260829-141200-ffffff/riscv9.json", "requests/odd/thing"
    left = "requests/20260829-141200-fffffe/riscv9.answer.json"
    for name in (waits, odd, left):
        objects.write(name, b"{}")
    let_pass(site, 8, waits, odd, left)
    assert turn(site) == 0
    assert requests(site) == [waits, odd]
    place = StorePlace("the store", site.place / "store")
    assert prune_store(place).requests == 0
    let_pass(site, 31, waits, odd)
    assert prune_store(place, dry_run=True).requests == 1
    assert requests(site) == [waits, odd]
    assert prune_store(place).requests == 1
    # Else who makes a link of the folder of requests would have everything removed to which it leads.
    assert requests(site) == [odd]


def forget(site: Site) -> None:
    """Let all requests be gone, as after a week."""
    for name in requests(site):
        site.store.objects.delete(name)


def test_what_a_stranger_has_the_signer_remember_does_not_count(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    evil, stranger = site.build("evil"), KeyOnDisk(site.place, "stranger.rsa")
    site.ask(site.request(evil), key=stranger)
    turn(site, stranger, stranger)  # a signer of their own signs what they want remembered
    assert site.store.objects.read(attested_name(ARCH.apk), ATTESTATIONS) is not None
    forget(site)
    answer = site.asked(site.build("one"), request_unit(evil, is_attested=False))
    assert list(answer.refused) == ["evil"]
    assert site.listed() == ["one-1-r0"]
    assert "which has what was attested before, does not count" in capsys.readouterr().err


def test_what_is_too_long_to_have_been_remembered_stops_no_signer(site: Site) -> None:
    planted = site.place / "store/.dag" / attested_name(ARCH.apk)
    planted.parent.mkdir(parents=True)
    planted.touch()
    os.truncate(planted, ATTESTATIONS.most + 1)
    assert site.asked(site.build("one")).published == 1
    forget(site)
    site.asked(site.build("two"))
    assert site.listed() == ["one-1-r0", "two-1-r0"]


def test_another_key_goes_on_if_the_one_before_is_named(site: Site) -> None:
    site.asked(site.build("one"))
    forget(site)
    site.ask(site.request(site.build("two")))
    before, site.distribution = site.distribution, KeyOnDisk(site.place, "next.rsa")
    assert turn(site, site.distribution, site.engine, before) == 1
    assert site.listed() == ["one-1-r0", "two-1-r0"]
    # From then on it needs that no more, but for whom it trusts.
    site.ask(site.request(site.build("three")))
    assert turn(site, site.distribution, site.engine, before) == 1
    assert site.listed() == ["one-1-r0", "three-1-r0", "two-1-r0"]


class Met(DirectoryObjects):
    """The files of a bucket, in which somebody else is faster when an index is to be made."""

    meet: Callable[[], object] | None = None

    def create(self, name: str, data: bytes) -> bool:
        meet, self.meet = self.meet, None
        if meet is not None:
            meet()
        return super().create(name, data)


def test_two_signers_at_once_forget_nothing_and_leave_nothing_out(site: Site) -> None:
    """One that somebody starts by hand meets that of the CronJob; in a bucket no lock is between them."""
    first, second = site.build("one"), site.build("two")
    site.ask(site.request(first))
    place = site.place / "store"
    files = Met(place, place / "lock-of-files")
    near = DirectoryObjects(place / ".dag", place / "lock-of-state")
    store = Store(site.place / "near", ARCH, BucketObjects("s3://b", files, near))

    def meet() -> None:
        site.ask(site.request(second))
        assert site.sign() == 2

    files.meet = meet
    engines = [site.engine.public]
    signer = read_signer(site.distribution.private, "d.rsa.pub", engines, trust=False)
    assert answer_requests(store, signer) == 1
    assert files.meet is None
    assert site.listed() == ["one-1-r0", "two-1-r0"]
    unattested = [request_unit(one, is_attested=False) for one in (first, second)]
    assert site.asked(*unattested).published == 2


def test_what_an_engine_has_attested_counts_no_more_when_it_is_not_trusted(site: Site) -> None:
    other = KeyOnDisk(site.place, "other.rsa")
    site.ask(site.request(site.build("one")))
    site.ask(site.request(site.build("two")), key=other)
    assert turn(site, site.distribution, site.engine, other) == 2
    assert site.listed() == ["one-1-r0", "two-1-r0"]
    site.ask(site.request(site.build("three")))
    assert turn(site) == 1
    assert site.listed() == ["one-1-r0", "three-1-r0"]


def test_what_is_remembered_is_of_one_store_and_architecture(site: Site) -> None:
    site.asked(site.build("one"))
    found = site.store.objects.read(attested_name(ARCH.apk), ATTESTATIONS)
    own = read_public_key(site.distribution.public.read_bytes())
    engine = read_public_key(site.engine.public.read_bytes())
    assert found is not None
    assert own is not None
    assert engine is not None
    where = (ARCH.apk, identity_of(site.store))
    assert len(decode_attested(found.data, *where, own, [engine]).units) == 1
    assert decode_attested(found.data, *where, own, []).units == ()
    for arch, store in ((where[0], "f" * 32), ("aarch64", where[1])):
        with pytest.raises(ValueError, match="another store or architecture"):
            decode_attested(found.data, arch, store, own, [engine])


def test_a_request_of_a_time_to_come_is_refused(site: Site) -> None:
    one = site.build("one")
    identity = site.ask(replace(site.request(one), id=make_run_id(time.time() + 3 * DAY, "000")))
    assert site.sign() == 1
    assert "set the clock of the machine that asks" in site.answer(identity).error
    soon = site.ask(replace(site.request(one), id=make_run_id(time.time() + DAY / 2, "000")))
    assert site.sign() == 1
    assert site.answer(soon).published == 1


def test_of_very_many_requests_a_turn_answers_the_first_and_the_next_one_others(
    site: Site,
) -> None:
    one = site.build("one")
    unit = request_unit(one, is_attested=True)
    padding = replace(unit, name="x" * 250, is_attested=False)
    units = [unit, *[padding] * 45_000]
    each = [site.ask(site.request(*units)) for _ in range(4)]
    assert encode_request(site.request(*units), SigningKey(site.engine.private, "").sign_digest)
    assert turn(site) == 3
    assert site.answer(each[2]).published == 1
    assert site.store.objects.read(answer_name(each[3], ARCH.apk), SIGNING_REQUEST) is None
    assert turn(site) == 1
    assert site.answer(each[3]).published == 1


def published_before(site: Site, *names: str) -> None:
    """Let the store have published these units, with an index, before there was a signer."""
    store = site.store
    records = [site.build(name) for name in names]
    for record in records:
        store.publish(record, lambda _: None)
    store.close()
    apks = [PublishedApk(one.apk, one.apk.size) for record in records for one in record.built]
    store.files.write("x86_64/APKINDEX.tar.gz", index_archive(apks))


def test_who_asks_is_told_what_the_index_lists_no_more(site: Site) -> None:
    published_before(site, *(f"old{number}" for number in range(7)))
    said = ask(site, site.build("one"))
    assert site.listed() == ["one-1-r0"]
    (told,) = said
    assert told.startswith(
        "the index no longer lists 7 packages that no request has attested: "
        "old0 1-r0, old1 1-r0, old2 1-r0, old3 1-r0, old4 1-r0 and 2 more. "
        "`dag build --sign apart --rebuild PKG` builds it again"
    )
    assert "`dag setup signer --trust-store` trusts what the store has" in told
    assert ask(site, site.build("two")) == []  # nothing more is lost


def test_an_agent_that_asks_has_room_for_the_most_important(site: Site, tmp_path: Path) -> None:
    published_before(site, *(f"old{number}" for number in range(7)))
    one = site.build("one")
    ask(site, one)
    (identity,) = {one.split("/")[1] for one in requests(site)}
    found = site.store.objects.read(request_name(identity, ARCH.apk), SIGNING_REQUEST)
    assert found is not None
    message = tmp_path / "message"
    agent_asks(site.store, identity, pack_words(found.data), 0, message)
    answer = decode_published(message.read_text())
    assert answer.left_out == ("old0 1-r0", "old1 1-r0", "old2 1-r0")
    assert answer.left_out_count == 7
    told = left_out_words(answer.left_out, answer.left_out_count)
    assert "old0 1-r0, old1 1-r0, old2 1-r0 and 4 more. " in told


def ask(site: Site, record: Record) -> list[str]:
    """Ask as a build does that has seen a unit proven, have that answered; return what is said then."""
    store, said = site.store, list[str]()
    SeenRecords.of(store).add(record)
    request = make_request(store, "", [record])
    store.objects.write(request_name(request.id, ARCH.apk), request.data)
    engine = site.place / "data/dag/keys/engine/engine.rsa.pub"
    signer = read_signer(site.distribution.private, "d.rsa.pub", [engine], trust=False)
    answer_requests(site.store, signer)
    assert ask_signer(store.objects, ARCH.apk, request, patience=0, say=said.append) == {}
    return said
