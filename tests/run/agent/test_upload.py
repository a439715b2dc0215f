"""What a build left is uploaded when it has ended: what is whole, as a copy, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from dag.core.package.apkindex import read_index
from dag.io.package.apkindex import index_text
from tests.run.agent.conftest import Pod
from tests.support.apks import gzip_members, make_apk
from tests.support.buckets import Store, s3
from tests.support.faults import FaultProxy
from tests.support.waiting import eventually, opens_something

pytestmark = pytest.mark.xdist_group("upload")  # what is shared is made in one process
INDEX = "packages/x86_64/APKINDEX.tar.gz"


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with s3("127.0.0.1") as running:
        yield running


@pytest.fixture
def bucket(server: Store, pod: Pod) -> Iterator[Store]:
    """Return an empty bucket that the pod reaches."""
    pod.environment = server.secret
    yield server
    with server.opened() as store:
        for name in list(store.names("packages")):
            store.delete(name)


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    said, _ = process.communicate(timeout=60)
    return process.returncode, said.splitlines()


def upload(pod: Pod, bucket: Store, *words: str | Path, script: str = "true") -> list[str]:
    """Run a build and its upload, and return what the upload said."""
    process = pod.agent("upload", f"--bucket={bucket.bucket}", *map(str, words))
    pod.build(script)
    code, said = finish(process)
    assert code == 0, said
    return said


def listed(bucket: Store) -> list[str]:
    entries = read_index(index_text(bucket.read(INDEX)))
    return [f"{entry.name}-{entry.version}.apk" for entry in entries]


def test_what_is_whole_is_uploaded_and_listed(pod: Pod, bucket: Store) -> None:
    make_apk(pod.packages / "b-1-r0.apk", "b")
    make_apk(pod.packages / "b-doc-1-r0.apk", "b-doc", origin="b")
    (pod.packages / "half-1-r0.apk").write_bytes((pod.packages / "b-1-r0.apk").read_bytes()[:-9])
    make_apk(pod.packages / "other-1-r0.apk", "liar")
    make_apk(pod.packages / "arm-1-r0.apk", "arm", arch="aarch64")
    said = upload(pod, bucket)
    assert bucket.files("packages/x86_64") == ["APKINDEX.tar.gz", "b-1-r0.apk", "b-doc-1-r0.apk"]
    assert listed(bucket) == ["b-1-r0.apk", "b-doc-1-r0.apk"]
    refused = [line for line in said if line.startswith("dag: not uploaded: ")]
    assert [line.split(":")[2].strip() for line in refused] == [
        "packages/x86_64/arm-1-r0.apk",
        "packages/x86_64/half-1-r0.apk",
        "packages/x86_64/other-1-r0.apk",
    ]
    assert said[-1].endswith("has them, without a signature: see --secret-key")


def test_entries_of_others_stay_and_those_of_this_build_are_replaced(
    pod: Pod, bucket: Store
) -> None:
    make_apk(pod.packages / "a-1-r0.apk", "a")
    make_apk(pod.packages / "z-1-r0.apk", "z")
    upload(pod, bucket)
    before = bucket.read("packages/x86_64/z-1-r0.apk")
    for path in pod.packages.iterdir():
        path.unlink()
    make_apk(pod.packages / "m-1-r0.apk", "m")
    make_apk(pod.packages / "z-1-r0.apk", "z", data=b"built again")
    again = Pod(pod.directory, pod.environment, pod.processes)
    (pod.directory / "agent").rename(pod.directory / "gone")
    upload(again, bucket)
    assert listed(bucket) == ["a-1-r0.apk", "m-1-r0.apk", "z-1-r0.apk"]
    assert bucket.read("packages/x86_64/z-1-r0.apk") != before


def test_what_the_bucket_has_already_is_not_sent_again(pod: Pod, bucket: Store) -> None:
    make_apk(pod.packages / "a-1-r0.apk", "a")
    upload(pod, bucket)
    with bucket.opened() as store:
        store.delete("packages/x86_64/a-1-r0.apk")  # it would be written again
    (pod.directory / "agent").rename(pod.directory / "gone")
    before = bucket.read(INDEX)
    upload(pod, bucket)
    assert bucket.files("packages/x86_64") == ["APKINDEX.tar.gz"]
    assert bucket.read(INDEX) == before


def test_no_link_is_followed_and_no_pipe_is_waited_for(pod: Pod, bucket: Store) -> None:
    secret = pod.directory / "secret"
    make_apk(secret, "secret")
    make_apk(pod.packages / "a-1-r0.apk", "a")
    (pod.packages / "secret-1-r0.apk").symlink_to(secret)
    os.mkfifo(pod.packages / "pipe-1-r0.apk")
    (pod.packages / "folder-1-r0.apk").mkdir()
    said = "\n".join(upload(pod, bucket))
    assert bucket.files("packages/x86_64") == ["APKINDEX.tar.gz", "a-1-r0.apk"]
    for name in ("secret", "pipe", "folder"):
        assert f"not uploaded: packages/x86_64/{name}-1-r0.apk: {name}-1-r0.apk is" in said


def test_a_directory_that_is_a_link_has_no_packages(pod: Pod, bucket: Store) -> None:
    pod.packages.rmdir()
    elsewhere = pod.directory / "elsewhere"
    elsewhere.mkdir()
    make_apk(elsewhere / "a-1-r0.apk", "a")
    pod.packages.symlink_to(elsewhere)
    assert upload(pod, bucket) == ["dag: there are no finished packages to upload"]


def test_the_index_is_signed_as_melange_signs_it(pod: Pod, bucket: Store) -> None:
    key, public = pod.directory / "melange.rsa", pod.directory / "melange.rsa.pub"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True)
    make_apk(pod.packages / "a-1-r0.apk", "a")
    upload(pod, bucket, f"--key={key}", "--public-key=os.rsa.pub")
    data = bucket.read(INDEX)
    with tarfile.open(fileobj=BytesIO(data), ignore_zeros=True) as archive:
        first = archive.next()
        assert first is not None
        assert first.name == ".SIGN.RSA256.os.rsa.pub"
        file = archive.extractfile(first)
        assert file is not None
        signature = file.read()
        assert [member.name for member in archive] == [first.name, "APKINDEX", "DESCRIPTION"]
    _, index = gzip_members(data)
    verifier = load_pem_public_key(public.read_bytes())
    assert isinstance(verifier, rsa.RSAPublicKey)
    verifier.verify(signature, index, padding.PKCS1v15(), hashes.SHA256())


def test_a_pod_that_ends_before_the_build_began_does_not_wait_for_it(
    pod: Pod, bucket: Store
) -> None:
    process = pod.agent("upload", f"--bucket={bucket.bucket}")

    eventually(lambda: opens_something(process.pid), "it waits for the build")
    process.terminate()
    assert finish(process) == (3, ["dag: the pod was ended before the build started"])


def test_a_pod_that_ends_later_still_uploads(pod: Pod, bucket: Store) -> None:
    make_apk(pod.packages / "a-1-r0.apk", "a")
    process = pod.agent("upload", f"--bucket={bucket.bucket}")
    # The agent has read the line when it has taken the signal for its own.
    script = f"until grep -q '^SigIgn:.*[4-7c-f]...$' /proc/{process.pid}/status; do :; done"
    pod.build(f"{script}; kill -TERM {process.pid}")
    code, said = finish(process)
    assert code == 0, said
    assert listed(bucket) == ["a-1-r0.apk"]
    assert process.returncode != -signal.SIGTERM


@pytest.mark.long
def test_twenty_pods_at_once_lose_no_entry(server: Store, bucket: Store, tmp_path: Path) -> None:
    pods = []
    for number in range(20):
        one = Pod(tmp_path / str(number), server.secret)
        one.packages.mkdir(parents=True)
        one.pipe.parent.mkdir()
        os.mkfifo(one.pipe)
        make_apk(one.packages / f"p{number}-1-r0.apk", f"p{number}")
        pods.append(one)
    try:
        for one in pods:
            one.agent("upload", f"--bucket={bucket.bucket}")
        for one in pods:
            one.build()
        for one in pods:
            code, said = finish(one.processes[0])
            assert code == 0, said
    finally:
        for one in pods:
            one.processes[0].kill()
            one.processes[0].communicate()
    assert sorted(listed(bucket)) == sorted(f"p{number}-1-r0.apk" for number in range(20))


@pytest.mark.long
def test_a_bucket_that_is_busy_for_a_while_does_not_cost_the_build(pod: Pod, bucket: Store) -> None:
    make_apk(pod.packages / "a-1-r0.apk", "a")
    with FaultProxy(bucket.url) as between:
        pod.environment = {**bucket.secret, "AWS_ENDPOINT_URL": between.url}
        # More often than the library for it asks by itself.
        busy = b"<Error><Code>SlowDown</Code></Error>"
        rule = between.on("PUT", "a-1-r0", times=12).answer(503, body=busy)
        upload(pod, bucket)
        assert rule.fired == 12
    assert listed(bucket) == ["a-1-r0.apk"]


def test_a_bucket_that_refuses_is_the_reason(pod: Pod, bucket: Store) -> None:
    make_apk(pod.packages / "a-1-r0.apk", "a")
    process = pod.agent("upload", "--bucket=s3://nowhere")
    pod.build()
    code, said = finish(process)
    assert code == 3
    assert "s3://nowhere" in said[-2]
    assert said[-1].startswith("hint: ")
