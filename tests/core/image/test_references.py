"""References to images, with the cases of distribution/reference's own tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.image.references import Reference, parse_reference, parse_repository
from dag.errors import UsageError

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("busybox", Reference("docker.io", "library/busybox")),
        ("busybox:1.36.1", Reference("docker.io", "library/busybox", "1.36.1")),
        ("docker.io/busybox", Reference("docker.io", "library/busybox")),
        ("index.docker.io/a/b", Reference("docker.io", "a/b")),
        ("a/b", Reference("docker.io", "a/b")),
        ("localhost/a", Reference("localhost", "a")),
        ("localhost:5000/a:b", Reference("localhost:5000", "a", "b")),
        ("127.0.0.1:5000/a/b", Reference("127.0.0.1:5000", "a/b")),
        ("[::1]:5000/a", Reference("[::1]:5000", "a")),
        ("ghcr.io/wolfi-dev/sdk:latest", Reference("ghcr.io", "wolfi-dev/sdk", "latest")),
        (f"a.b/c:t@{DIGEST}", Reference("a.b", "c", "t", DIGEST)),
        (f"busybox@{DIGEST}", Reference("docker.io", "library/busybox", None, DIGEST)),
        ("HOST/a", Reference("HOST", "a")),
        ("a.b:80/c__d/e-f.g", Reference("a.b:80", "c__d/e-f.g")),
    ],
)
def test_a_reference_is_completed(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "UPPER",
        "a/Upper",
        "https://ghcr.io/a",
        "a:b:c",
        "a@sha256:12",
        f"a@md5:{'0' * 32}",
        "a@",
        "a b",
        "-a",
        "a..b",
        "a:",
        f"a:{'t' * 129}",
        "a.b:99999999/c",
        "host.example/",
        f"host.example/{'a' * 250}",
        "a\n",
        *("127.0.0.999:1/x", "[:::::]:5000/x", "localhost:0/x", "localhost:99999/x"),
        f"{'a' * 64}.example/x",
    ],
)
def test_what_is_no_reference_is_named(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert repr(text) in caught.value.message


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_an_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize("text", ["a.b/c:tag", f"a.b/c@{DIGEST}"])
def test_a_repository_has_neither_tag_nor_digest(text: str) -> None:
    with pytest.raises(UsageError, match="without tag and digest") as caught:
        parse_repository(text)
    assert caught.value.hint == "write a.b/c"


def test_what_is_asked_of_a_registry() -> None:
    assert parse_reference("a").version == "latest"
    assert parse_reference("a:1").version == "1"
    assert parse_reference(f"a:1@{DIGEST}").version == DIGEST


@pytest.mark.parametrize(
    "text", ["me:hunter2@r.io/a", "me:hun@ter2@r.io/a", "https://me:hunter2@r.io/a"]
)
def test_a_password_is_not_shown(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert "hun" not in f"{caught.value.message} {caught.value.hint}"
    assert "r.io" in str(caught.value.hint)
