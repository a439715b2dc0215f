"""What a bucket has comes before the build, from one that is busy or has lost something, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dag.core.store.buckets import Bucket
from dag.io.store.objects import StoreError
from dag.run.agent.fetch import fetch
from tests.support.buckets import NAME, Store, s3
from tests.support.faults import FaultProxy

pytestmark = pytest.mark.xdist_group("upload")  # what is shared is made in one process


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with s3("127.0.0.1") as running:
        with running.opened() as store:
            for name in ("a", "b"):
                store.write(f"packages/x86_64/{name}-1-r0.apk", name.encode())
        yield running


@pytest.fixture
def between(server: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Stand between the bucket and whoever asks it."""
    with FaultProxy(server.url) as proxy:
        for name, value in {**server.secret, "AWS_ENDPOINT_URL": proxy.url}.items():
            monkeypatch.setenv(name, value)
        yield proxy


def bring(workspace: Path, bucket: str = NAME) -> dict[str, bytes]:
    wanted = [f"{name}-1-r0.apk" for name in ("a", "b", "c")]
    fetch(Bucket.parse(f"s3://{bucket}"), "x86_64", wanted, workspace)
    return {path.name: path.read_bytes() for path in workspace.rglob("*.apk")}


@pytest.mark.long
def test_a_bucket_that_is_busy_for_a_while_is_asked_again(
    between: FaultProxy, tmp_path: Path
) -> None:
    # More often than the library for it asks by itself.
    between.on("GET", "a-1-r0", times=12).answer(503, body=b"<Error><Code>SlowDown</Code></Error>")
    assert bring(tmp_path) == {"a-1-r0.apk": b"a", "b-1-r0.apk": b"b"}


def test_what_a_bucket_has_lost_is_built_and_told(
    between: FaultProxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    between.on("GET", "a-1-r0", times=None).answer(404)
    assert bring(tmp_path) == {"b-1-r0.apk": b"b"}
    said = capsys.readouterr().err
    assert "2 of 3 packages are in s3://built/packages/x86_64" in said
    assert "listed in the bucket and not there, so they are built: a-1-r0.apk" in said


def test_a_bucket_of_another_region_is_not_asked_again(between: FaultProxy, tmp_path: Path) -> None:
    between.on(times=None).answer(301)
    with pytest.raises(StoreError, match="region"):
        bring(tmp_path)
    assert between.count() == 1
