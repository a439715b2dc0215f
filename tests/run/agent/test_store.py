"""The agent tells of a store, and serves from it, whatever else lies there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dag.core.jobs.listing import decode_listing
from dag.core.limits import PUBLIC_KEY
from dag.core.store.publication import Publication, encode_publication
from dag.errors import InfrastructureError
from dag.io.store.local import Store
from dag.io.store.objects import StoreError
from dag.io.store.ownkey import PUBLIC_OBJECT
from dag.run.agent.published import _Published
from dag.run.agent.store import IndexSignature, _index, list_store, try_store
from tests.core.jobs.test_listing import record
from tests.support.buckets import s3
from tests.support.orders import SETTINGS


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path, SETTINGS.arch)
    made.prepare()
    return made


def test_a_stray_file_is_not_listed(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one = encode_publication(
        Publication(name="a", version="1-r0", key="0" * 64, result="0" * 64, sizes={})
    )
    store.objects.write("published/x86_64/a/copy of 1-r0.txt", one)
    store.objects.write("records/x86_64/a/copy.json", one)
    list_store(str(tmp_path), SETTINGS.arch, tmp_path / "scratch")
    assert decode_listing(capfd.readouterr().out.splitlines()).objects == {}


def test_the_results_are_listed_that_runs_went_on_with_which_have_not_ended(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other, third = (record(number) for number in range(3))
    runs = [store.runs.of(f"2026010{day}-000000-000abc") for day in range(1, 5)]
    runs[0].fix_result(third)
    runs[1].keep_result(b"{}")
    runs[2].fix_result(one)
    runs[2].fix_result(other)
    later = msgspec.structs.replace(one, key="9" * 64, built=other.built)
    runs[3].fix_result(later)
    list_store(str(tmp_path), SETTINGS.arch, tmp_path / "scratch")
    listed = decode_listing(capfd.readouterr().out.splitlines()).results
    assert listed == {one.name: later.result, other.name: other.result}


@pytest.mark.installs
def test_a_bucket_without_conditions_is_found_before_it_is_built_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3("127.0.0.1", deaf_to=["If-None-Match"]) as server:
        for name, value in server.secret.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StoreError, match="passes over the condition"):
            try_store(f"{server.bucket}/s", SETTINGS.arch, tmp_path, "probe")
        with server.opened("s") as objects:
            assert objects.look(".dag/probe") is None
        with pytest.raises(StoreError, match="passes over the condition"):
            list_store(f"{server.bucket}/s", SETTINGS.arch, tmp_path)


def test_keys_that_no_client_takes_are_not_served(
    store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.rsa.pub", "my key.pub", "old/b.rsa.pub"):
        store.objects.write(f"key/{name}", b"a key")
    assert _Published(store).listing().endswith("  a.rsa.pub\n")
    assert len(_Published(store).listing().splitlines()) == 1
    said = capfd.readouterr().err
    assert "my key.pub stays there" in said
    assert "b.rsa.pub stays there" in said


def test_the_key_of_the_store_itself_is_not_replaced(store: Store) -> None:
    store.objects.write(PUBLIC_OBJECT, b"the store's own")
    other = IndexSignature(public_name="melange.rsa.pub", public_key="YW5vdGhlcg==")
    with pytest.raises(InfrastructureError, match="is of another key"):
        _index(store, other, 0, anew=False)
    found = store.objects.read(PUBLIC_OBJECT, PUBLIC_KEY)
    assert found is not None
    assert found.data == b"the store's own"
