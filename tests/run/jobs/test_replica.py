"""What stands for a store in a cluster has the name and the key that all machines know it by."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.jobs.listing import StoreListing
from dag.core.store.publication import Publication, encode_publication
from dag.errors import InfrastructureError, UsageError
from dag.io.package.signing import make_key
from dag.io.store.local import Store
from dag.io.store.ownkey import own_key
from dag.run.jobs.replica import client_of, fill_replica, open_replica, replica_place
from tests.support.orders import SETTINGS

IDENTITY = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


def replica(root: Path, listing: StoreListing) -> Store:
    store = open_replica(root, SETTINGS.arch, wait=False, say=lambda _: None)
    fill_replica(store, listing, lambda _: None)
    return store


@pytest.mark.long
def test_the_key_of_a_store_is_the_same_wherever_that_is_known(tmp_path: Path) -> None:
    listing = StoreListing(objects={}, identity=IDENTITY)
    keys = []
    for place in ("one", "another"):
        store = replica(tmp_path / place, listing)
        keys.append(own_key(store, make_key))
        store.close()
    assert keys[0] == keys[1]
    assert IDENTITY in str(keys[0])


@pytest.mark.long
def test_a_key_that_is_not_the_one_of_the_store_is_refused(tmp_path: Path) -> None:
    store = replica(
        tmp_path / "r", StoreListing(objects={}, identity=IDENTITY, public_key=b"another")
    )
    with pytest.raises(UsageError, match=r"the key of the store .* is not on this machine"):
        own_key(store, make_key)
    store.close()


@pytest.mark.parametrize(
    "name",
    [
        "../escaped",
        "/tmp/escaped",
        "records/../../../escaped",
        "records/x86_64/a/copy.json",
        "published/aarch64/a/1-r0.json",
    ],
)
def test_what_is_listed_stays_in_its_place(tmp_path: Path, name: str) -> None:
    with pytest.raises(InfrastructureError, match="is no name of an object"):
        replica(tmp_path / "r", StoreListing(objects={name: b"{}"}))


@pytest.mark.parametrize("name", ["..", ".", "a\0b", "é" * 200])
def test_a_listed_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    listed = f"published/x86_64/{name}/1-r0.json"
    with pytest.raises(InfrastructureError, match="is no name of a file"):
        replica(tmp_path / "r", StoreListing(objects={listed: b"{}"}))


@pytest.mark.parametrize("size", [-1, 1 << 62])
def test_a_listed_size_that_no_package_has_is_refused(tmp_path: Path, size: int) -> None:
    publication = Publication(
        name="a", version="1-r0", key="0" * 64, result="1" * 64, sizes={"a-1-r0.apk": size}
    )
    listed = {"published/x86_64/a/1-r0.json": encode_publication(publication)}
    with pytest.raises(InfrastructureError, match=rf"a-1-r0.apk cannot have {size} bytes"):
        replica(tmp_path / "r", StoreListing(objects=listed))


def test_what_runs_went_on_with_goes_before_what_is_published(tmp_path: Path) -> None:
    store = replica(tmp_path / "r", StoreListing(objects={}, results={"a": "1" * 64}))
    assert store.preferred_results("a", "1-r0") == ("1" * 64,)
    store.close()


def test_builds_of_two_architectures_do_not_wait_for_each_other() -> None:
    places = [
        replica_place("https://api", "builds", "pvc://packages", Arch.parse(name))
        for name in ("x86_64", "aarch64")
    ]
    assert places[0] != places[1]


def test_a_copy_on_another_machine_is_another_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = replica(tmp_path / "one", StoreListing(objects={}, identity=IDENTITY))
    here = client_of(store)
    assert client_of(store) == here
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    assert client_of(store) != here
    store.close()
