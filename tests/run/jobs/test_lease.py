"""One client at a time drives a build in a store; whoever is gone is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dag.core.jobs.lease import DriverNote, LeaseView
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.kubeconfig import connect
from dag.io.store.lock import Held
from dag.run.jobs.lease import LeaseEnd, LeaseObject, StoreLease
from tests.support.kubeconfigs import kubeconfig
from tests.support.leases import OneLease, lease_server
from tests.support.orders import SETTINGS
from tests.support.waiting import until

KEY = SETTINGS.key
OTHER = "process 7 on another"
DURATION = 2.0
Make = Callable[[], StoreLease]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[OneLease]:
    for name, seconds in {"RENEWAL": 0.02, "LEASE_DURATION": DURATION}.items():
        monkeypatch.setattr(f"dag.run.jobs.lease.{name}", seconds)
    with lease_server() as lease:
        yield lease


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(api: OneLease, tmp_path: Path, said: list[str]) -> Iterator[Make]:
    made: list[StoreLease] = []
    config = kubeconfig(tmp_path / "config", api.url)

    def make_lease() -> StoreLease:
        note = DriverNote(client="mine", run="r1")
        lease = StoreLease(lambda: Kube(connect(config), lambda _: None), KEY, note, said.append)
        made.append(lease)
        return lease

    yield make_lease
    for one in made:
        one.close()


async def test_who_finds_no_holder_drives_until_that_is_closed(api: OneLease, make: Make) -> None:
    lease = make()
    lease.progress = lambda: "2 of 5"
    await lease.acquire(wait=False)
    assert api.view.holder.startswith("process ")
    assert (api.view.note.run, api.view.note.progress) == ("r1", "2 of 5")
    await renewed(api)
    lease.close()
    assert api.view.holder == ""


async def test_the_second_client_is_told_who_drives_what(api: OneLease, make: Make) -> None:
    api.let_hold(OTHER, "0", run="r0", progress="3 of 9 packages are done")
    renewing = asyncio.create_task(renew(api))
    with pytest.raises(Held) as refused:
        await make().acquire(wait=False)
    renewing.cancel()
    assert f"{OTHER} drives run r0 in pvc://packages/wolfi: 3 of 9" in refused.value.message
    assert "dag cancel" in str(refused.value.hint)


@pytest.mark.long
async def test_who_waits_drives_when_the_holder_lets_go(
    api: OneLease, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.jobs.lease.RENEWAL", DURATION / 5)
    api.let_hold(OTHER, "0")
    renewing = asyncio.create_task(renew(api))
    acquiring = asyncio.create_task(make().acquire(wait=True))
    # Between its looks there are pauses, ten of which are as long as a holder may be silent.
    await until(lambda: api.looks > 12)
    assert not acquiring.done()
    renewing.cancel()
    api.let_hold("", "end")
    await acquiring
    assert api.view.holder.startswith("process ")


@pytest.mark.long
async def test_a_holder_that_is_silent_is_replaced(
    api: OneLease, make: Make, said: list[str]
) -> None:
    api.let_hold(OTHER, "0")
    await make().acquire(wait=False)
    assert api.view.holder != OTHER
    assert any("taking over" in line for line in said)


async def test_the_lease_of_an_earlier_process_of_this_place_is_taken_at_once(
    api: OneLease, make: Make, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.jobs.lease.LEASE_DURATION", 3600.0)
    api.let_hold(OTHER, "0", client="mine")
    await make().acquire(wait=False)
    assert said == []


async def test_who_is_replaced_leaves_the_build_and_the_lease_alone(
    api: OneLease, make: Make
) -> None:
    ended: asyncio.Queue[LeaseEnd] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    lease = make()
    await lease.acquire(wait=False)
    lease.listen(lambda end: loop.call_soon_threadsafe(ended.put_nowait, end))
    api.let_hold(OTHER, "1")
    async with asyncio.timeout(20):
        end = await ended.get()
    assert end.is_lost
    assert OTHER in end.words
    lease.close()
    assert api.view.holder == OTHER


async def test_a_run_that_somebody_cancels_is_told(
    api: OneLease, make: Make, tmp_path: Path
) -> None:
    ended: asyncio.Queue[LeaseEnd] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    lease = make()
    await lease.acquire(wait=False)
    lease.listen(lambda end: loop.call_soon_threadsafe(ended.put_nowait, end))
    other = Kube(connect(kubeconfig(tmp_path / "other", api.url)), lambda _: None)
    await LeaseObject(other, KEY).cancel("r1")
    await other.close()
    async with asyncio.timeout(20):
        end = await ended.get()
    assert (end.is_lost, end.words) == (False, "run r1 is cancelled")
    await renewed(api)
    assert api.view.holder.startswith("process ")  # until its Jobs are gone
    assert api.view.cancelled == "r1"  # so that nobody asks again


async def test_who_was_replaced_finds_out_although_the_successor_has_let_go(
    api: OneLease, make: Make
) -> None:
    ended: asyncio.Queue[LeaseEnd] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    lease = make()
    await lease.acquire(wait=False)
    lease.listen(lambda end: loop.call_soon_threadsafe(ended.put_nowait, end))
    api.let_hold("", "1", client="theirs", run="r2")
    async with asyncio.timeout(20):
        assert (await ended.get()).is_lost


async def test_a_lease_that_was_deleted_by_hand_is_made_anew(api: OneLease, make: Make) -> None:
    await make().acquire(wait=False)
    api.delete()
    await until(lambda: api.exists and api.view.holder)
    assert api.view.holder.startswith("process ")


async def test_a_change_that_is_never_admitted_is_an_error(api: OneLease, make: Make) -> None:
    api.admits = False
    async with asyncio.timeout(20):
        with pytest.raises(ApiError, match="Invalid"):
            await make().acquire(wait=False)


@pytest.mark.parametrize("wait", [True, False])
async def test_only_who_waits_does_so_while_the_api_does_not_answer(
    api: OneLease, make: Make, said: list[str], monkeypatch: pytest.MonkeyPatch, *, wait: bool
) -> None:
    monkeypatch.setattr("dag.run.jobs.lease.LEASE_DURATION", 0.2)
    api.let_hold(OTHER, "0")
    read, reads = LeaseObject.read_or_make, 0

    async def fail(lease: LeaseObject) -> LeaseView:
        nonlocal reads
        reads += 1
        if 1 < reads < 50:  # for longer than a holder may be silent
            raise ApiError("no answer", status=0)
        if reads == 50:
            api.let_hold("", "end")
        return await read(lease)

    monkeypatch.setattr(LeaseObject, "read_or_make", fail)
    if wait:
        await make().acquire(wait=True)
        assert not any("taking over" in line for line in said)
    else:
        with pytest.raises(ApiError, match="no answer"):
            await make().acquire(wait=False)


async def test_the_lease_is_let_go_of_although_somebody_has_just_changed_it(
    api: OneLease, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.jobs.lease.RENEWAL", 3600.0)
    lease = make()
    await lease.acquire(wait=False)
    view = api.view
    api.let_hold(view.holder, view.renewed, client="mine", run="r1")
    lease.close()
    assert api.view.holder == ""


async def test_the_lease_is_let_go_of_although_nobody_listens_any_more(
    api: OneLease, make: Make
) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen(_: LeaseEnd) -> None:
        loop.call_soon_threadsafe(told.set)
        raise RuntimeError("Event loop is closed")

    lease = make()
    await lease.acquire(wait=False)
    lease.listen(listen)
    other = LeaseObject(lease._connect(), KEY)
    await other.cancel("r1")
    await other.kube.close()
    async with asyncio.timeout(20):
        await told.wait()
    lease.close()
    assert api.view.holder == ""


async def renewed(api: OneLease) -> None:
    """Wait until the holder has renewed the Lease once more."""
    before = api.view.renewed
    await until(lambda: api.view.renewed != before)


async def renew(api: OneLease) -> None:
    for number in range(1_000_000):
        note = api.view.note
        api.let_hold(OTHER, str(number), run=note.run, progress=note.progress)
        await asyncio.sleep(0.01)
