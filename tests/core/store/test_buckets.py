"""The names of buckets."""

from __future__ import annotations

import pytest

from dag.core.store.buckets import Bucket
from dag.errors import UsageError


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("gs://built", Bucket("gs", "built")),
        ("built", Bucket("gs", "built")),
        ("built/os/", Bucket("gs", "built/os")),
        ("s3://built.example.com/a/b", Bucket("s3", "built.example.com/a/b")),
        ("az://built/a", Bucket("az", "built/a")),
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


def test_what_names_no_bucket_is_answered_with_an_example_of_its_own_cloud() -> None:
    for scheme in ("gs", "s3", "az"):
        with pytest.raises(UsageError) as refused:
            Bucket.parse(f"{scheme}://")
        assert f"write it like {scheme}://name/folder" in (refused.value.hint or "")
