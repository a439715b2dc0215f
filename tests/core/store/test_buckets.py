"""Buckets, and what the script of the upload does before rclone runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.store.buckets import Bucket, Places, upload_script
from dag.errors import UsageError
from tests.support.waiting import eventually

X86 = Arch.parse("x86_64")


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("gs://built", Bucket("gs", "built")),
        ("built", Bucket("gs", "built")),
        ("built/os/", Bucket("gs", "built/os")),
        ("s3://built.example.com/a/b", Bucket("s3", "built.example.com/a/b")),
    ],
)
def test_a_bucket_is_read(text: str, bucket: Bucket) -> None:
    assert Bucket.parse(text) == bucket


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gs://",
        "ftp://x",
        "gs://Upper",
        "gs://a b",
        "gs://built/../x",
        "gs://built//x",
        "s3://$x",
    ],
)
def test_what_is_no_bucket_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Bucket.parse(text)
    assert text in str(refused.value)


def test_a_secret_decides_about_the_provider() -> None:
    bucket = Bucket.parse("s3://built")
    assert bucket.environment(own_identity=True)["RCLONE_CONFIG_CLOUD_PROVIDER"] == "AWS"
    assert "RCLONE_CONFIG_CLOUD_PROVIDER" not in bucket.environment(own_identity=False)


@pytest.fixture(params=["dash", "busybox"])
def uploading(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return the script in a workspace in which no build has started."""
    shell = ["busybox", "sh"] if request.param == "busybox" else [request.param]
    script = upload_script(
        Places(str(tmp_path), str(tmp_path / "state")), Bucket.parse("gs://built"), X86, "0123"
    )
    with subprocess.Popen(
        [*shell, *script.command()[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            eventually((tmp_path / "state/ended").exists, "it waits for the build")
            yield process
        finally:
            process.kill()


def test_a_pod_that_ends_before_the_build_began_does_not_wait_for_it(
    uploading: subprocess.Popen[str],
) -> None:
    uploading.terminate()
    said, _ = uploading.communicate(timeout=30)
    assert said == "dag: the pod was ended before the build started\n"
    assert uploading.returncode == 1


def test_a_build_that_died_before_the_uploader_looked_is_seen_as_dead(
    uploading: subprocess.Popen[str], tmp_path: Path
) -> None:
    # The build script does this first, in a process that ends at once.
    state = tmp_path / "state"
    subprocess.run(["sh", "-c", f"exec 9<>{state}/ended; : >{state}/started"], check=True)
    said, _ = uploading.communicate(timeout=30)
    assert said == "dag: there are no finished packages to upload\n"
    assert (state / "index/done").exists()
