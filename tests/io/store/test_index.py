"""The index of a store: it lists what is published, and is replaced only if that changed."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.package.apk import PublishedApk, index_archive
from dag.core.package.apkindex import read_index
from dag.core.store.buckets import Bucket
from dag.core.store.layout import STATE
from dag.io.package.apkindex import index_text
from dag.io.store.buckets.opening import open_bucket
from dag.io.store.directory import DirectoryObjects
from dag.io.store.index import write_index
from dag.io.store.local import Store
from dag.io.store.objects import BucketObjects, StoreError
from tests.support.apks import read
from tests.support.archives import tar_header
from tests.support.buckets import NAME, s3
from tests.support.faults import FaultProxy
from tests.support.stores import promote


class Signer:
    def __init__(self, key: str) -> None:
        self.key = key
        self.signed = 0

    def __call__(self, path: Path) -> None:
        self.signed += 1
        header = tar_header(b"0", len(self.key), f".SIGN.RSA256.{self.key}")
        body = self.key.encode().ljust(512, b"\0")
        path.write_bytes(gzip.compress(header + body, mtime=0) + path.read_bytes())


def test_it_lists_what_is_there_and_stays_as_it_is_if_nothing_changed(
    store: Store, tmp_path: Path
) -> None:
    promote(store, tmp_path, "b")
    promote(store, tmp_path, "a")
    said: list[str] = []
    ours = Signer("our.pub")
    write_index(store, ours, said.append, key="our.pub")
    index = store.packages / "APKINDEX.tar.gz"
    assert [entry.name for entry in read_index(index_text(index.read_bytes()))] == ["a", "b"]
    made = index.stat()
    write_index(store, ours, said.append, key="our.pub")
    assert ours.signed == 1
    write_index(store, ours, said.append, key="our.pub", anew=True)
    assert ours.signed == 2
    assert index.stat() == made  # it got the same signature
    promote(store, tmp_path, "c")
    write_index(store, ours, said.append, key="our.pub")
    assert len(read_index(index_text(index.read_bytes()))) == 3
    assert said == []


def test_one_that_another_made_stays_if_it_lists_the_same_and_is_told_before_it_goes(
    store: Store, tmp_path: Path
) -> None:
    promote(store, tmp_path, "a")
    index = store.packages / "APKINDEX.tar.gz"
    # melange writes other lines, and in another order.
    apk = read(store.packages / "a-1-r0.apk")
    archive = gzip.decompress(index_archive([PublishedApk(apk, apk.size)]))
    index.write_bytes(gzip.compress(archive.replace(b"T:made by hand", b"T:made by HAND")))
    Signer("k.rsa.pub")(index)
    before = index.read_bytes()
    said: list[str] = []
    ours = Signer("melange.rsa.pub")
    write_index(store, ours, said.append, key="melange.rsa.pub")
    assert index.read_bytes() == before
    promote(store, tmp_path, "b")
    write_index(store, ours, said.append, key="melange.rsa.pub")
    assert len(said) == 1
    assert "is signed with the key k.rsa.pub, which this build does not have" in said[0]
    assert "--signing-key" in said[0]
    # Nor is one left in silence that has our key's name and another's signature.
    Signer("melange.rsa.pub")(index)
    promote(store, tmp_path, "c")
    write_index(store, ours, said.append, key="melange.rsa.pub")
    assert len(said) == 2


def test_one_that_another_machine_made_with_the_same_key_is_replaced_without_a_word(
    tmp_path: Path,
) -> None:
    near = [DirectoryObjects(tmp_path / "bucket" / name, tmp_path / "lock") for name in ("", STATE)]
    bucket, said = BucketObjects("s3://b", *near), list[str]()
    one, other = (Store(tmp_path / name, Arch.parse("x86_64"), bucket) for name in ("one", "other"))
    one.prepare()
    other.prepare()
    promote(one, tmp_path, "a")
    ours = Signer("our.pub")

    def sign_after_the_other(path: Path) -> None:
        if ours.signed == 0:
            promote(other, tmp_path, "b")
            write_index(other, ours, said.append, key="our.pub")
            promote(one, tmp_path, "c")
        ours(path)

    write_index(one, sign_after_the_other, said.append, key="our.pub")
    index = tmp_path / "bucket/x86_64/APKINDEX.tar.gz"
    assert [entry.name for entry in read_index(index_text(index.read_bytes()))] == ["a", "b", "c"]
    assert said == []
    for machine in (one, other):
        machine.close()


@pytest.mark.long
def test_one_that_a_server_refuses_without_a_reason_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3("127.0.0.1") as server, FaultProxy(server.url) as between:
        for name, value in {**server.secret, "AWS_ENDPOINT_URL": between.url}.items():
            monkeypatch.setenv(name, value)
        files, state = (open_bucket(Bucket.parse(f"s3://{NAME}/{one}"), os.environ) for one in "ab")
        store = Store(
            tmp_path / "here", Arch.parse("x86_64"), BucketObjects("s3://b", files, state)
        )
        store.prepare()
        promote(store, tmp_path, "a")
        write_index(store, Signer("our.pub"), print, key="our.pub")
        promote(store, tmp_path, "b")
        between.on("PUT", "APKINDEX", times=None).answer(412)
        with pytest.raises(StoreError, match="refuses to replace the very version"):
            write_index(store, Signer("our.pub"), print, key="our.pub")
        between.clear()
        write_index(store, Signer("our.pub"), print, key="our.pub")
        store.close()


@pytest.mark.parametrize("junk", [b"", b"junk", gzip.compress(b"junk", mtime=0)])
def test_what_is_no_index_is_replaced(store: Store, tmp_path: Path, junk: bytes) -> None:
    promote(store, tmp_path, "a")
    index = store.packages / "APKINDEX.tar.gz"
    index.write_bytes(junk)
    write_index(store, Signer("our.pub"), print, key="our.pub")
    assert [entry.name for entry in read_index(index_text(index.read_bytes()))] == ["a"]
