"""The answers of registries: only valid digests, and documents that can be read."""

from __future__ import annotations

import pytest

from dag.core.image.descriptors import Blob, parse_digest, parse_object

DIGEST = "sha256:" + "0a" * 32
GOOD = {"mediaType": "a/b", "digest": DIGEST, "size": 5}


def test_a_descriptor_is_read() -> None:
    assert Blob.parse(GOOD) == Blob("a/b", DIGEST, 5)
    assert Blob.parse(GOOD).descriptor() == GOOD


@pytest.mark.parametrize(
    "digest",
    [
        *("/tmp/x", "sha256:../../x", "sha256:" + "0A" * 32, DIGEST + "\n", DIGEST + "0", "", None),
        *(5, ["sha256"], "sha512:" + "0" * 128, "md5:" + "0" * 32),
    ],
)
def test_nothing_else_is_a_digest(digest: object) -> None:
    with pytest.raises(ValueError, match="no digest"):
        parse_digest(digest)
    with pytest.raises(ValueError, match="no digest"):
        Blob.parse({**GOOD, "digest": digest})


@pytest.mark.parametrize(
    "wrong",
    [
        *(None, 5, [], {}, {**GOOD, "mediaType": 5}, {**GOOD, "size": "5"}),
        *({**GOOD, "size": -1}, {**GOOD, "size": True}, {"digest": DIGEST, "size": 5}),
    ],
)
def test_what_is_no_descriptor_is_said_to_be_none(wrong: object) -> None:
    with pytest.raises(ValueError, match="is no "):
        Blob.parse(wrong)


@pytest.mark.parametrize("text", ["", "[]", "\ud800", "9" * 5000, "[" * 200_000, b"\xff\xfe<", "{"])
def test_what_is_no_json_object_is_said_to_be_none(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        parse_object(text)
