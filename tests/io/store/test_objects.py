"""Every kind of store, with the real server or the one that stands for it: writes have conditions."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest

from dag.core.limits import Limit, TooLarge
from dag.core.store.buckets import Bucket, translate_settings
from dag.io.files import sha256_of
from dag.io.removal import remove
from dag.io.store.buckets.opening import open_bucket
from dag.io.store.directory import DirectoryObjects
from dag.io.store.objects import Objects, StoreError, update
from tests.support.buckets import NAME, Store, azure, gcs, s3
from tests.support.waiting import eventually

pytestmark = pytest.mark.installs

SERVERS: dict[str, Callable[[str], AbstractContextManager[Store]]] = {
    "gs": gcs,
    "s3": s3,
    "az": azure,
}
SMALL = Limit("an object of a test", 1 << 20)
HOST = "127.0.0.1"


# Each server is started in one process.
KINDS = [pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in SERVERS]


@pytest.fixture(scope="module", params=["directory", *KINDS])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Objects]:
    """Return a store of each kind, below a folder."""
    if request.param == "directory":
        place = tmp_path_factory.mktemp("objects")
        yield DirectoryObjects(place / "folder", place / "lock")
        return
    with SERVERS[request.param](HOST) as server, server.opened("a/folder") as store:
        yield store


def test_what_is_created_is_read_and_not_created_again(opened: Objects) -> None:
    assert opened.read("made/one", SMALL) is None
    assert opened.create("made/one", b"first")
    assert not opened.create("made/one", b"second")
    found = opened.read("made/one", SMALL)
    assert found is not None
    assert found.data == b"first"


def test_only_the_version_that_was_read_is_replaced(opened: Objects) -> None:
    opened.create("kept/one", b"first")
    first = opened.read("kept/one", SMALL)
    assert first is not None
    assert opened.replace("kept/one", b"second", first.version)
    assert not opened.replace("kept/one", b"third", first.version)
    second = opened.read("kept/one", SMALL)
    assert second is not None
    assert second.data == b"second"
    opened.delete("kept/one")
    assert not opened.replace("kept/one", b"fourth", second.version)
    assert opened.read("kept/one", SMALL) is None


@pytest.mark.parametrize("name", ["libstdc++-1.2-r0.apk", "a~b_git2026-r0.apk", "a=b@c.apk"])
def test_names_of_packages_stay_as_they_are(opened: Objects, tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole"
    whole.write_bytes(b"a package" * 2_000_000)
    opened.upload(f"packages/{name}", whole)
    assert f"packages/{name}" in list(opened.names("packages"))
    assert opened.download(f"packages/{name}", tmp_path / "back", Limit("it", 1 << 30))
    assert (tmp_path / "back").read_bytes() == whole.read_bytes()
    whole.write_bytes(b"another")
    opened.upload(f"packages/{name}", whole)
    assert opened.download(f"packages/{name}", tmp_path / "back", SMALL)
    assert (tmp_path / "back").read_bytes() == b"another"
    opened.delete(f"packages/{name}")
    assert list(opened.names("packages")) == []
    assert not opened.download(f"packages/{name}", tmp_path / "none", SMALL)
    assert not (tmp_path / "none").exists()


def test_a_file_from_some_byte_on_is_created_once(opened: Objects, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.write_bytes(b"signed" + b"a package" * 100_000)
    with whole.open("rb") as file:
        assert opened.create_from("blobs/one", file.fileno(), begin=6)
        assert not opened.create_from("blobs/one", file.fileno())
    found = opened.look("blobs/one")
    assert found is not None
    assert (found.name, found.size) == ("blobs/one", 900_000)
    with opened.opened("blobs/one", SMALL) as descriptor:
        assert descriptor is not None
        assert os.pread(descriptor, 9, 899_991) == b"a package"
    with opened.opened("blobs/none", SMALL) as descriptor:
        assert descriptor is None
    assert opened.look("blobs/none") is None


def test_what_is_large_is_created_once_too(
    opened: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.io.store.buckets.clouds._LARGE", 1 << 20)
    whole = tmp_path / "whole"
    whole.write_bytes(os.urandom(12 << 20))
    with whole.open("rb") as file:
        assert opened.create_from("big/one", file.fileno(), begin=1)
        assert not opened.create_from("big/one", file.fileno(), begin=1)
    with opened.opened("big/one", Limit("it", 1 << 30)) as descriptor:
        assert descriptor is not None
        assert sha256_of(descriptor) == hashlib.sha256(whole.read_bytes()[1:]).hexdigest()


def test_what_was_renewed_is_not_deleted_for_its_age(opened: Objects) -> None:
    assert not opened.renew("aged/one")
    opened.write("aged/one", b"first")
    opened.write("aged/one", b"second")
    first = opened.look("aged/one")
    assert first is not None
    eventually(
        lambda: (found := opened.look("aged/one")) and found.age > 2, "it is two seconds old"
    )
    assert opened.renew("aged/one")
    assert not opened.delete_older("aged/one", 2)
    eventually(lambda: opened.delete_older("aged/one", 1), "it is old enough")
    assert opened.look("aged/one") is None
    assert not opened.delete_older("aged/one", 0)


def test_folders_are_listed_without_what_is_in_them(opened: Objects) -> None:
    for name in ("tree/one/a/b", "tree/two/c", "tree/file"):
        opened.create(name, b"")
    assert sorted(opened.folders("tree")) == ["one", "two"]
    assert list(opened.folders("tree/none")) == []


@pytest.mark.parametrize("kind", ["gs", "s3"])
def test_what_a_console_shows_as_an_empty_folder_is_no_object(kind: str) -> None:
    with SERVERS[kind](HOST) as server, server.opened("store") as store:
        store.create("tree/file", b"")
        name = "store/tree/"
        if kind == "gs":
            url = f"{server.url}/upload/storage/v1/b/{NAME}/o?uploadType=media&name={name}"
            made = httpx2.post(url, content=b"")
        else:
            made = httpx2.put(f"{server.url}/{NAME}/{name}", content=b"")
        assert made.status_code == 200
        assert list(store.names("tree")) == ["tree/file"]


def test_a_sparse_file_is_one_and_a_link_is_none(tmp_path: Path) -> None:
    store = DirectoryObjects(tmp_path / "folder", tmp_path / "lock")
    store.create("one", b"begins")
    os.truncate(tmp_path / "folder/one", 1 << 20)
    (tmp_path / "folder/link").symlink_to("one")
    with store.opened("one", SMALL) as file:
        assert file is not None
        assert os.pread(file, 7, 0) == b"begins\0"
    with pytest.raises(OSError, match="link"), store.opened("link", SMALL):
        pass


def test_any_number_of_folders_in_each_other_is_listed(tmp_path: Path) -> None:
    store = DirectoryObjects(tmp_path / "folder", tmp_path / "lock")
    store.create("one", b"")
    depth = 1500
    try:
        opened = os.open(tmp_path / "folder", os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("x", dir_fd=opened)  # a path that long is none
            inner = os.open("x", os.O_RDONLY, dir_fd=opened)
            os.close(opened)
            opened = inner
        os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=opened))
        os.close(opened)
        assert [*store.names("x")] == ["x/" * depth + "deep"]
    finally:
        remove(tmp_path / "folder")  # pytest could not


def test_a_folder_is_not_one_whose_name_begins_alike(opened: Objects) -> None:
    opened.create("x/y/one", b"")
    opened.create("x/yz/two", b"")
    assert list(opened.names("x/y")) == ["x/y/one"]
    assert list(opened.names("x/none")) == []


def test_what_is_too_large_is_not_read(opened: Objects, tmp_path: Path) -> None:
    opened.create("large", b"12345")
    with pytest.raises(TooLarge, match="large has more than 4 bytes"):
        opened.read("large", Limit("a small thing", 4))
    with pytest.raises(TooLarge):
        opened.download("large", tmp_path / "large", Limit("a small thing", 4))


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a/../b", "a//b", "./a", "a/", "a\0b"])
def test_a_key_leads_nowhere_else(opened: Objects, key: str) -> None:
    with pytest.raises(StoreError, match="is no name of an object"):
        opened.create(key, b"")


def test_a_server_that_minds_conditions_is_let_be(opened: Objects) -> None:
    assert opened.create("tried", b"as it was")
    opened.require_conditions("tried", b"as it was")
    found = opened.read("tried", SMALL)
    assert found is not None
    assert found.data == b"as it was"


@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_a_server_that_passes_conditions_over_is_refused(header: str) -> None:
    with s3(HOST, deaf_to=[header]) as server, server.opened() as store:
        store.write("tried", b"as it was")
        with pytest.raises(StoreError, match=rf"\({header}\)") as caught:
            store.require_conditions("tried", b"as it was")
        assert caught.value.lasts
        found = store.read("tried", SMALL)
    assert found is not None
    assert found.data == b"as it was"


def test_twenty_writers_at_once_lose_nothing(opened: Objects) -> None:
    ready = threading.Barrier(20)

    def add(number: int) -> None:
        ready.wait()
        update(
            opened,
            "shared/index",
            SMALL,
            lambda found: b"%b%d\n" % (found or b"", number),
        )

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(add, range(20)))
    found = opened.read("shared/index", SMALL)
    assert found is not None
    assert sorted(map(int, found.data.split())) == list(range(20))


def test_a_change_that_changes_nothing_writes_nothing(opened: Objects) -> None:
    opened.create("same", b"as it is")
    before = opened.read("same", SMALL)
    update(opened, "same", SMALL, lambda found: found or b"")
    assert opened.read("same", SMALL) == before


@pytest.mark.parametrize("kind", SERVERS)
def test_a_bucket_that_is_not_there_is_an_error_that_names_it(kind: str) -> None:
    with SERVERS[kind](HOST) as server, server.opened():
        store = open_bucket(Bucket.parse(f"{kind}://nowhere-to-be-found"), os.environ)
        with pytest.raises(StoreError, match=f"{kind}://nowhere-to-be-found"):
            store.create("one", b"")
        assert list(store.names("packages")) == []


def test_settings_of_rclone_are_translated_with_a_word() -> None:
    given = {
        "PATH": "/bin",
        "RCLONE_S3_PROVIDER": "Minio",
        "RCLONE_S3_ENDPOINT": "https://minio.example.com",
        "RCLONE_S3_ACCESS_KEY_ID": "old",
        "AWS_ACCESS_KEY_ID": "new",
        "RCLONE_S3_ACL": "private",
        "RCLONE_GCS_ENDPOINT": "http://10.0.0.1:4443/storage/v1/",
    }
    found = translate_settings(given)
    assert found.variables == {
        "PATH": "/bin",
        "AWS_ACCESS_KEY_ID": "new",
        "AWS_ENDPOINT_URL": "https://minio.example.com",
        "AWS_REGION": "us-east-1",
        "STORAGE_EMULATOR_HOST": "http://10.0.0.1:4443",
    }
    said = "\n".join(found.notes)
    assert "$RCLONE_S3_ENDPOINT is taken for $AWS_ENDPOINT_URL" in said
    assert "$RCLONE_S3_ACL has no meaning any more" in said
    assert "minio.example.com" not in said
