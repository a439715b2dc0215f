"""Bundles are pushed to a real registry, and skopeo reads them back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest
import zstandard

from dag.core.image.archive import Entry, Symlink, file_of
from dag.errors import UsageError
from dag.io.image.bundle import BUSYBOX, Pushed, digest_bundle, push_bundle
from dag.io.image.registry.refusals import RegistryError
from dag.io.image.registry.repository import resolve
from dag.io.image.tree import definitions_tree
from tests.support.distributions import TODAY, unpacked
from tests.support.faults import FaultProxy
from tests.support.registries import Server, base_image, registry, skopeo

pytestmark = pytest.mark.usefixtures("no_credentials")


@pytest.fixture(scope="module")
def base(running: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Push a base image to the registry of the bundles."""
    layout = tmp_path_factory.mktemp("base")
    digest = base_image(layout)
    name = f"{running.host}/library/base:1"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{name}")
    return f"{name}@{digest}"


def through(proxy: FaultProxy) -> str:
    return proxy.url.removeprefix("http://")


def definitions(count: int = 300) -> list[Entry]:
    entries: list[Entry] = [
        file_of(f"{n}.yaml", f"package:\n  name: n{n}\n  version: '{n}'\n".encode() * 40)
        for n in range(count)
    ]
    return [*entries, file_of("run.sh", b"#!/bin/sh\n", executable=True), Symlink("l", "run.sh")]


def read_back(pushed: Pushed, directory: Path, architecture: str) -> dict[str, tarfile.TarInfo]:
    """Return every file of the image as skopeo reads it; skopeo checks all digests."""
    skopeo(
        *("copy", "--src-tls-verify=false", f"--override-arch={architecture}"),
        *(f"docker://{pushed.reference}", f"dir:{directory}"),
    )
    manifest = json.loads((directory / "manifest.json").read_text())
    members: dict[str, tarfile.TarInfo] = {}
    for layer in manifest["layers"]:
        data = (directory / layer["digest"].removeprefix("sha256:")).read_bytes()
        if layer["mediaType"].endswith("+zstd"):
            data = zstandard.ZstdDecompressor().decompress(data)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members |= {member.name: member for member in archive.getmembers()}
    return members


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_one_bundle_serves_every_platform(
    running: Server, base: str, tmp_path: Path, architecture: str
) -> None:
    pushed = push_bundle(f"{running.host}/me/platforms", definitions(), base=base)
    members = read_back(pushed, tmp_path / "image", architecture)
    assert {"bin/busybox", "bundle/0.yaml", "bundle/run.sh", "bundle/l"} <= set(members)
    assert members["bundle/run.sh"].mode == 0o755
    assert members["bundle/l"].linkname == "run.sh"
    seen = json.loads(
        skopeo(
            *("inspect", "--tls-verify=false", f"--override-arch={architecture}"),
            f"docker://{pushed.reference}",
        )
    )
    assert seen["Architecture"] == architecture
    assert seen["Created"] == "1970-01-01T00:00:00Z"
    assert seen["Env"] == ["PATH=/bin"]


def test_the_index_has_the_linux_platforms_of_the_base_alone(running: Server, base: str) -> None:
    pushed = push_bundle(f"{running.host}/me/index", definitions(), base=base)
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{pushed.reference}")
    assert pushed.digest == f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"
    index = json.loads(raw)
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64"},
    ]
    assert index["annotations"] == {"org.opencontainers.image.base.digest": base.partition("@")[2]}


def test_an_unchanged_directory_uploads_nothing(proxy: FaultProxy, base: str) -> None:
    repository = f"{through(proxy)}/me/unchanged"
    first = push_bundle(repository, definitions(), base=base)
    assert first.bytes_uploaded == sum(
        proxy.received(method) for method in ("POST", "PUT", "PATCH")
    )
    before = len(proxy.exchanges)
    second = push_bundle(repository, reversed(definitions()), base=base)
    later = proxy.exchanges[before:]
    assert {exchange.request.method for exchange in later} == {"HEAD"}
    assert sum(exchange.received for exchange in later) == 0
    assert (second.reference, second.bytes_uploaded, second.layers_uploaded) == (
        first.reference,
        0,
        0,
    )


def test_a_changed_file_sends_its_layer_alone(proxy: FaultProxy, base: str) -> None:
    repository = f"{through(proxy)}/me/changed"
    push_bundle(repository, definitions(), base=base)
    before = len(proxy.exchanges)
    others = [file_of("0.yaml", b"package: {name: other}"), *definitions()[1:]]
    changed = push_bundle(repository, others, base=base)
    puts = [item for item in proxy.exchanges[before:] if item.request.method == "PUT"]
    assert changed.layers_uploaded == 1
    assert changed.bytes_uploaded == sum(item.received for item in puts)
    # There are one layer and two configs, then two manifests and the index.
    kinds = [item.request.target.split("/")[4] for item in puts]
    assert kinds == ["blobs", "blobs", "blobs", "manifests", "manifests", "manifests"]


def copied(source: Path, target: Path, *, umask: int, mtime: int) -> Path:
    """Copy the files as another user has them, who checked them out at another time."""
    shutil.copytree(source, target)
    for path in (target, *target.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod((0o777 if executable else 0o666) & ~umask)
        os.utime(path, (mtime, mtime))
    return target


def test_a_distributions_copies_are_one_bundle_and_a_changed_file_sends_a_tenth_at_most(
    proxy: FaultProxy, base: str, tmp_path: Path
) -> None:
    repository = f"{through(proxy)}/me/distribution"
    one = copied(unpacked(TODAY), tmp_path / "one", umask=0o022, mtime=1_700_000_000)
    two = copied(unpacked(TODAY), tmp_path / "elsewhere/two", umask=0o077, mtime=1)
    pushed = push_bundle(repository, definitions_tree(one).entries, base=base)
    first = proxy.received()
    assert first == pushed.bytes_uploaded
    again = push_bundle(repository, definitions_tree(two).entries, base=base)
    assert (again.reference, again.bytes_uploaded) == (pushed.reference, 0)
    assert proxy.received() == first
    with (two / "brotli.yaml").open("a") as file:
        file.write("# changed\n")
    changed = push_bundle(repository, definitions_tree(two).entries, base=base)
    assert changed.digest != pushed.digest
    assert 0 < proxy.received() - first <= first / 10


def test_the_base_is_mounted_when_it_is_in_the_same_registry(proxy: FaultProxy, base: str) -> None:
    there = f"{through(proxy)}/{base.partition('/')[2]}"
    push_bundle(f"{through(proxy)}/me/mounted", definitions(3), base=there)
    mounts = proxy.matching("POST", r"mount=sha256%3A[0-9a-f]+&from=library%2Fbase")
    assert [exchange.status for exchange in mounts] == [201, 201]


def test_the_base_is_copied_from_another_registry(
    running: Server, base: str, tmp_path: Path
) -> None:
    with registry(tmp_path / "other") as other:
        pushed = push_bundle(f"{other.host}/me/copied", definitions(3), base=base)
        assert "bin/busybox" in read_back(pushed, tmp_path / "image", "arm64")
        posts = [path for method, path, _ in other.requests() if method == "POST"]
        assert not [path for path in posts if "mount" in path]


def test_a_known_base_is_not_asked_for_again(running: Server, base: str, tmp_path: Path) -> None:
    # Docker Hub counts the manifests that are read, and may be unreachable.
    with FaultProxy(f"http://{running.host}") as hub:
        there = f"{through(hub)}/{base.partition('/')[2]}"
        push_bundle(f"{running.host}/me/known", definitions(3), base=there)
        hub.down()
        again = push_bundle(f"{running.host}/me/known", definitions(4), base=there)
    assert again.layers_uploaded > 0


def test_a_damaged_copy_of_the_base_is_read_anew(
    running: Server, base: str, tmp_path: Path
) -> None:
    first = push_bundle(f"{running.host}/me/damaged", definitions(3), base=base)
    for path in (tmp_path / "xdg" / "dag" / "images").iterdir():
        path.write_bytes(b"{}")
    again = push_bundle(f"{running.host}/me/damaged", definitions(3), base=base)
    assert again.reference == first.reference


def test_a_base_of_one_platform_is_wrapped_in_an_index(
    running: Server, base: str, tmp_path: Path
) -> None:
    name = f"{running.host}/library/single:1"
    skopeo(
        *("copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--override-arch=arm64"),
        *(f"docker://{base.replace(':1@', '@')}", f"docker://{name}"),
    )
    pushed = push_bundle(f"{running.host}/me/single", definitions(3), base=name)
    assert "bundle/0.yaml" in read_back(pushed, tmp_path / "image", "arm64")


def test_a_base_in_dockers_own_format_is_taken(running: Server, base: str, tmp_path: Path) -> None:
    name = f"{running.host}/library/docker:1"
    skopeo(
        *("copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--format=v2s2"),
        *(f"docker://{base.replace(':1@', '@')}", f"docker://{name}"),
    )
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    assert "vnd.docker.distribution.manifest.v2" in raw
    pushed = push_bundle(f"{running.host}/me/docker", definitions(3), base=name)
    assert "bundle/0.yaml" in read_back(pushed, tmp_path / "image", "amd64")


def test_a_dry_run_names_what_a_push_makes(proxy: FaultProxy, base: str) -> None:
    repository = f"{through(proxy)}/me/dry"
    planned = digest_bundle(repository, definitions(), base=base)
    assert proxy.exchanges == []
    assert re.fullmatch(rf"{repository}:bundle-[0-9a-f]{{64}}", planned.reference)
    pushed = push_bundle(repository, definitions(), base=base, digested=planned)
    assert planned.content == pushed.content
    assert resolve(planned.reference) == pushed.reference == f"{repository}@{pushed.digest}"
    # Now this machine knows the base, so it knows the digest, too.
    before = len(proxy.exchanges)
    assert digest_bundle(repository, definitions(), base=base).reference == pushed.reference
    assert len(proxy.exchanges) == before


def test_a_manifest_that_a_garbage_collector_took_is_pushed_again(
    running: Server, base: str, tmp_path: Path
) -> None:
    repository = f"{running.host}/me/collected"
    pushed = push_bundle(repository, definitions(3), base=base)
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{pushed.reference}")
    victim = json.loads(raw)["manifests"][1]["digest"]
    revisions = running.storage / "docker/registry/v2/repositories/me/collected/_manifests"
    (revisions / "revisions/sha256" / victim.removeprefix("sha256:") / "link").unlink()
    again = push_bundle(repository, definitions(3), base=base)
    assert again.bytes_uploaded > 0
    assert "bundle/0.yaml" in read_back(again, tmp_path / "image", "arm64")


def test_tags_that_may_not_move_do_not_stop_a_push(proxy: FaultProxy, base: str) -> None:
    rule = proxy.on("PUT", "manifests/bundle-").answer(
        409, body=b'{"errors":[{"code":"DENIED","message":"tag is immutable"}]}'
    )
    pushed = push_bundle(f"{through(proxy)}/me/immutable", definitions(3), base=base)
    assert rule.fired == 1
    assert resolve(pushed.reference) == pushed.reference
    skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{pushed.reference}")


def test_progress_says_what_was_uploaded(running: Server, base: str) -> None:
    lines: list[str] = []
    push_bundle(f"{running.host}/me/said", definitions(3), base=base, progress=lines.append)
    assert lines
    assert all(re.fullmatch(r"uploaded sha256:[0-9a-f]{12} \([0-9,]+ bytes\)", x) for x in lines)


def test_a_base_that_does_not_exist_is_named(running: Server, base: str) -> None:
    name = f"{running.host}/library/base:none"
    with pytest.raises(RegistryError, match=re.escape(f"there is no image {name}")):
        push_bundle(f"{running.host}/me/a", definitions(3), base=name)


def test_a_base_digest_that_does_not_exist_is_named(running: Server, base: str) -> None:
    name = f"{running.host}/library/base@sha256:{'0' * 64}"
    with pytest.raises(RegistryError, match="MANIFEST_UNKNOWN"):
        push_bundle(f"{running.host}/me/a", definitions(3), base=name)


def test_a_base_without_linux_is_refused(running: Server, tmp_path: Path) -> None:
    base_image(tmp_path / "layout", architectures=())
    name = f"{running.host}/library/windows:1"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{tmp_path}/layout", f"docker://{name}")
    with pytest.raises(UsageError, match="no platform with Linux"):
        push_bundle(f"{running.host}/me/a", definitions(3), base=name)


def test_busybox_is_pinned() -> None:
    assert resolve(BUSYBOX) == (
        "docker.io/library/busybox"
        "@sha256:73aaf090f3d85aa34ee199857f03fa3a95c8ede2ffd4cc2cdb5b94e566b11662"
    )
