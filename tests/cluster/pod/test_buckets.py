"""Packages to and from buckets: the agent in pods, and servers of every kind."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from tests.support.buckets import Store, azure, gcs, s3
from tests.support.cluster.running import Dag, definitions, job
from tests.torture.distribution import generate

pytestmark = pytest.mark.cluster

SERVERS: dict[str, Callable[[], AbstractContextManager[Store]]] = {"gs": gcs, "s3": s3, "az": azure}
SEED = 9
"""The seed of a graph in which the first three packages need none of each other."""


@pytest.fixture(params=sorted(SERVERS))
def store(request: pytest.FixtureRequest, dag: Dag) -> Iterator[Store]:
    """Return an object store of each kind, and make the Secret that lets pods in."""
    with SERVERS[request.param]() as running:
        dag.apply("Secret", "bucket", stringData=dict(running.secret))
        yield running


@pytest.fixture
def bucket(dag: Dag) -> Iterator[Store]:
    """Return an object store of any kind."""
    with gcs() as running:
        dag.apply("Secret", "bucket", stringData=dict(running.secret))
        yield running


def index(store: Store, path: str = "packages/x86_64/APKINDEX.tar.gz") -> list[str]:
    """Return the names in the bucket's index, each as often as it is there."""
    data = gzip.decompress(store.read(path))
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as tar:
        file = tar.extractfile("APKINDEX")
        assert file is not None
        fields = [line.partition(":") for line in file.read().decode().splitlines()]
    names = [value for key, _, value in fields if key == "P"]
    versions = [value for key, _, value in fields if key == "V"]
    return [f"{name}-{version}.apk" for name, version in zip(names, versions, strict=True)]


def distribution(directory: Path, *, broken: str = "") -> Path:
    """Write four packages that real melange builds; the build of the one that is `broken` fails."""
    generate(directory, count=4, seed=SEED)
    if broken:
        path = directory / f"{broken}.yaml"
        path.write_text(path.read_text().replace("  - runs: |\n", "  - runs: |\n      exit 9\n", 1))
    return directory


def first_process(dag: Dag, argument: str) -> int:
    """Return process 1 of a container, as this machine sees it: nodes share its kernel."""
    listed = json.loads(dag.kubectl("get", "pods", "-o", "json"))["items"]
    pods = [pod["metadata"]["uid"] for pod in listed]
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            words = (status.parent / "cmdline").read_bytes().decode().split("\0")
            first = re.search(r"^NSpid:.*\s1$", status.read_text(), re.MULTILINE)
            groups = (status.parent / "cgroup").read_text()
            if argument in words and first and any(pod in groups for pod in pods):
                return int(status.parent.name)
    raise AssertionError(f"no container runs {argument}")


def test_what_a_failed_build_finished_is_uploaded_and_not_built_again(
    dag: Dag, store: Store, tmp_path: Path
) -> None:
    flags = ["--bucket", f"{store.bucket}/dist", "--bucket-secret=bucket"]
    done = dag.pod(distribution(tmp_path / "broken", broken="p003"), *flags)
    assert done.returncode == 1, done.stderr
    assert "make failed with exit code 2" in done.stderr
    uploaded = [name for name in store.files("dist/packages/x86_64") if name.endswith(".apk")]
    assert uploaded
    assert not [name for name in uploaded if name.startswith("p003")]
    listed = index(store, "dist/packages/x86_64/APKINDEX.tar.gz")
    assert sorted(listed) == uploaded
    assert "a-secret-that-nothing-may-show" not in done.stdout + done.stderr
    assert "a-secret-that-nothing-may-show" not in dag.kubectl("get", "pods", "-o", "yaml")

    flags += ["--src-bucket", f"{store.bucket}/dist"]
    done = dag.pod(distribution(tmp_path / "mended"), *flags)
    assert done.returncode == 0, done.stderr
    everything = [name for name in store.files("dist/packages/x86_64") if name.endswith(".apk")]
    assert (
        f"[fetch-packages] dag: {len(uploaded)} of {len(everything)} packages are in" in done.stdout
    )
    assert set(re.findall(r"melange build (\w+)\.yaml", done.stdout)) == {"p003"}
    assert any(name.startswith("p003") for name in everything)
    assert sorted(index(store, "dist/packages/x86_64/APKINDEX.tar.gz")) == everything


def test_two_pods_that_upload_at_once_lose_nothing(dag: Dag, bucket: Store, tmp_path: Path) -> None:
    directory = distribution(tmp_path / "d")
    flags = ["--only", "--bucket", bucket.bucket, "--bucket-secret=bucket"]
    running = [dag.start(directory, *flags, name) for name in ("p000", "p001")]
    for one in running:
        done = one.end()
        assert done.returncode == 0, done.stderr
    files = bucket.files()
    assert [name for name in files if "lock" in name] == []
    built = [name.removeprefix("x86_64/") for name in files if name.endswith(".apk")]
    assert {name[:4] for name in built} == {"p000", "p001"}
    assert sorted(index(bucket)) == built


def test_an_upload_that_fails_fails_the_command(dag: Dag, bucket: Store, tmp_path: Path) -> None:
    flags = ["--only", "p000", "--bucket=gs://nowhere", "--bucket-secret=bucket"]
    done = dag.pod(distribution(tmp_path / "d"), *flags)
    assert done.returncode == 3, done.stderr
    assert "everything is built, but the upload failed: gs://nowhere" in done.stderr
    assert bucket.files() == []


def test_packages_of_a_build_that_was_killed_are_uploaded_and_indexed(
    dag: Dag, bucket: Store, tmp_path: Path
) -> None:
    directory = distribution(tmp_path / "d")
    flags = ["--bucket", bucket.bucket, "--bucket-secret=bucket", "--only"]
    assert dag.pod(directory, *flags, "p000").returncode == 0
    makefile = directory / "Makefile"
    rule = "killed-p001: packages/x86_64/p001-1.0-r0.apk\n\t@echo ready; sleep 600\n"
    makefile.write_text(f"{makefile.read_text()}\n{rule}")
    running = dag.start(directory, *flags, "p001", "--target-template=killed-{name}")
    running.await_line("ready$")
    os.kill(first_process(dag, "killed-p001"), signal.SIGKILL)
    done = running.end()
    assert done.returncode == 1, done.stderr
    assert "SIGKILL" in done.stderr
    built = [name.removeprefix("x86_64/") for name in bucket.files() if name.endswith(".apk")]
    assert {name[:4] for name in built} == {"p000", "p001"}
    assert sorted(index(bucket)) == built


def test_what_was_finished_before_the_timeout_is_uploaded_and_indexed(
    dag: Dag, bucket: Store, tmp_path: Path
) -> None:
    directory = distribution(tmp_path / "d")
    makefile = directory / "Makefile"
    rule = "slow-%: packages/x86_64/p000-1.0-r0.apk\n\t@echo waiting; sleep 600\n"
    makefile.write_text(f"{makefile.read_text()}\n{rule}")
    flags = ["--bucket", bucket.bucket, "--bucket-secret=bucket", "--timeout=20s"]
    done = dag.pod(directory, *flags, "--only", "p000", "--target-template=slow-{name}")
    assert done.returncode == 1, done.stderr
    assert "the build took longer than --timeout (20 s)" in done.stderr
    assert "[build] waiting" in done.stdout
    built = [name.removeprefix("x86_64/") for name in bucket.files() if name.endswith(".apk")]
    assert built
    assert sorted(index(bucket)) == built


def test_a_build_without_packages_uploads_nothing(dag: Dag, bucket: Store, tmp_path: Path) -> None:
    flags = ["--bucket", bucket.bucket, "--bucket-secret=bucket"]
    done = dag.pod(job(tmp_path / "d", "echo nothing to see; exit 0\n"), *flags)
    assert done.returncode == 0, done.stderr
    assert "[upload] dag: there are no finished packages to upload" in done.stdout


@pytest.mark.parametrize("given", ["ftp://x", "gs://", "gs://a/../b", "gs://UPPER", "s3://x y"])
def test_what_is_no_bucket_is_refused_before_anything_happens(
    dag: Dag, tmp_path: Path, given: str
) -> None:
    done = dag.pod(definitions(tmp_path / "d"), "--bucket", given)
    assert done.returncode == 2
    assert given in done.stderr
