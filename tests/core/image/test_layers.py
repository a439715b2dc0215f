"""Layers: the same files give the same bytes, and a change affects only its own layer."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dag.core.image import layers as bundle
from dag.core.image.archive import Directory, Entry, File, Symlink, file_of
from dag.core.image.layers import LARGE_FILE, LARGE_LAYERS, SMALL_LAYERS, Layer, split_layers
from dag.errors import UsageError

files = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?\.yaml", fullmatch=True),
    st.binary(max_size=200),
    min_size=1,
    max_size=25,
)


def entries_of(tree: dict[str, bytes]) -> list[Entry]:
    return [file_of(path, data) for path, data in tree.items()]


def digests(tree: dict[str, bytes]) -> list[str]:
    return [layer.digest().diff_id for layer in split_layers(entries_of(tree))]


@given(files, st.randoms())
def test_order_does_not_matter(tree: dict[str, bytes], chance: random.Random) -> None:
    entries = entries_of(tree)
    shuffled = entries.copy()
    chance.shuffle(shuffled)
    assert [layer.digest() for layer in split_layers(entries)] == [
        layer.digest() for layer in split_layers(shuffled)
    ]


@given(files, st.data())
def test_a_change_an_addition_and_a_removal_touch_one_layer(
    tree: dict[str, bytes], data: st.DataObject
) -> None:
    before = set(digests(tree))
    path = data.draw(st.sampled_from(sorted(tree)))
    changed = set(digests({**tree, path: tree[path] + b"more"}))
    added = set(digests({**tree, "zz/new.yaml": b"new"}))
    removed = set(digests({key: value for key, value in tree.items() if key != path}))
    assert len(changed - before) == 1
    assert len(added - before) == 1
    # The layer that lost the file has changed, or is gone.
    assert len(removed - before) <= 1
    assert len(before - removed) == 1


@given(files)
def test_every_file_is_in_exactly_one_layer(tree: dict[str, bytes]) -> None:
    stored: dict[str, bytes] = {}
    for layer in split_layers(entries_of(tree)):
        with tarfile.open(fileobj=io.BytesIO(b"".join(layer.tar()))) as archive:
            for member in archive.getmembers():
                if member.isfile():
                    assert member.name not in stored
                    read = archive.extractfile(member)
                    assert read is not None
                    stored[member.name] = read.read()
    assert stored == {f"bundle/{path}": data for path, data in tree.items()}


@given(files)
def test_the_digest_is_that_of_the_bytes_that_are_sent(tree: dict[str, bytes]) -> None:
    for layer in split_layers(entries_of(tree)):
        digest = layer.digest()
        sent = b"".join(layer.compress())
        assert digest.blob.digest == f"sha256:{hashlib.sha256(sent).hexdigest()}"
        assert digest.blob.size == len(sent)
        plain = zstandard.ZstdDecompressor().decompress(sent)
        assert digest.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"


@given(st.lists(st.integers(1, 5000), max_size=40))
def test_how_a_file_is_read_does_not_show(cuts: list[int]) -> None:
    data = random.Random(1).randbytes(300_000) * 2

    def pieces() -> list[bytes]:
        start, found = 0, []
        for cut in cuts:
            found.append(data[start : start + cut])
            start += cut
        return [*found, data[start:]]

    assert Layer((File("a", len(data), pieces),)).digest() == Layer((file_of("a", data),)).digest()


def test_layers_are_bounded_and_large_files_are_apart_from_small_ones() -> None:
    small: list[Entry] = [file_of(f"{n}.yaml", b"") for n in range(5000)]
    large: list[Entry] = [File(f"{n}.tar", LARGE_FILE, tuple) for n in range(500)]
    found = split_layers([*small, *large])
    assert len(found) == SMALL_LAYERS + LARGE_LAYERS <= 60
    for layer in found:
        sizes = {entry.size >= LARGE_FILE for entry in layer.entries if isinstance(entry, File)}
        assert len(sizes) == 1


def test_one_changed_file_of_thousands_sends_a_thirtieth() -> None:
    chance = random.Random(7)
    tree = {f"{n}.yaml": chance.randbytes(chance.randint(500, 6000)) for n in range(3401)}
    found = [layer.digest().blob.size for layer in split_layers(entries_of(tree))]
    # The bytes that a change of one file sends again, averaged over all files by their size.
    assert sum(size * size for size in found) / sum(found) <= sum(found) / 30


def test_the_digests_of_a_known_tree_have_not_changed() -> None:
    tree: list[Entry] = [
        file_of("brotli.yaml", b"package:\n  name: brotli\n" * 40),
        file_of("pipelines/run.sh", b"#!/bin/sh\n", executable=True),
        file_of("ä" * 60, b"long and not ASCII"),
        Symlink("link.yaml", "brotli.yaml"),
        Directory("empty"),
    ]
    known = [layer.digest() for layer in split_layers(tree)]
    assert bundle.content_digest(known, "sha256:base") == KNOWN_CONTENT
    # These depend on libzstd, which the lock file pins; those above depend on nothing.
    blobs = "".join(digest.blob.digest for digest in known)
    assert hashlib.sha256(blobs.encode()).hexdigest() == KNOWN_BLOBS, zstandard.ZSTD_VERSION


KNOWN_CONTENT = "sha256:607629a560801b33faa133704600e93f96d0558440630c7c5c4e16b49c2925f2"
KNOWN_BLOBS = "c785ae6415960a3a62423090bb4148844a4c8384d84c24f532d84ed3a6737822"


def test_an_empty_bundle_still_has_its_directory() -> None:
    (layer,) = split_layers([])
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer.tar()))) as archive:
        assert archive.getnames() == ["bundle"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a//b", "a/./b", "", "a\0b", "a/"])
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="no relative path"):
        split_layers([file_of(path, b"")])


@pytest.mark.parametrize("path", [".wh.brotli.yaml", "a/.wh..wh..opq", ".wh.a/b"])
def test_a_name_that_would_delete_files_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="means a deleted file"):
        split_layers([file_of(path, b"")])


def test_one_path_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a.yaml is in the bundle twice"):
        split_layers([file_of("a.yaml", b"1"), file_of("a.yaml", b"2")])


def test_a_file_below_a_file_is_refused() -> None:
    with pytest.raises(UsageError, match="a cannot be a file and hold a/b/c"):
        split_layers([file_of("a", b""), file_of("a/b/c", b"")])


BASE_CONFIG = {
    "architecture": "arm64",
    "os": "linux",
    "variant": "v8",
    "created": "2023-05-19T20:19:22Z",
    "container": "f00",
    "history": [{"created": "2023-05-19T20:19:22Z"}],
    "config": {"Cmd": ["sh"]},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:base"]},
}


def test_a_config_appends_layers_and_knows_no_time() -> None:
    found = [layer.digest() for layer in split_layers([file_of("a", b"")])]
    assert bundle.image_config(BASE_CONFIG, found) == {
        "architecture": "arm64",
        "os": "linux",
        "variant": "v8",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:base", found[0].diff_id]},
    }


def test_a_manifest_turns_the_types_of_docker_into_those_of_oci() -> None:
    base = {
        "layers": [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "digest": "sha256:" + "0" * 64,
                "size": 7,
            }
        ]
    }
    found = [layer.digest() for layer in split_layers([file_of("a", b"")])]
    config, _ = bundle.json_blob(bundle.CONFIG_TYPE, {})
    manifest = bundle.image_manifest(base, config, found)
    assert [layer["mediaType"] for layer in manifest["layers"]] == [
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
    ]


def test_content_is_named_by_files_and_base() -> None:
    one = [layer.digest() for layer in split_layers([file_of("a", b"1")])]
    two = [layer.digest() for layer in split_layers([file_of("a", b"2")])]
    names = {
        bundle.content_digest(found, base) for found in (one, two) for base in ("base:1", "base:2")
    }
    assert len(names) == 4
