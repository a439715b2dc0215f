"""Kinds of values: which texts are accepted, as what, and what is said about all others."""

from __future__ import annotations

import pytest

from dag.core.arch import Arch
from dag.core.image.kinds import IMAGE, REPOSITORY
from dag.core.kinds import ARCH, ARCHS, DURATION, NAME, QUANTITY, URL, ValueKind, whole
from dag.errors import UsageError


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (whole(1), "1", 1),
        (whole(0, 7), " 7 ", 7),
        (NAME, "a-b.c", "a-b.c"),
        (QUANTITY, "500m", "500m"),
        (DURATION, "1h30m", 5400.0),
        (DURATION, "87600h", 315_360_000.0),
        (ARCH, "arm64", Arch("aarch64", "arm64")),
        (IMAGE, "busybox", "busybox"),
        (IMAGE, "r.io/a/b:tag", "r.io/a/b:tag"),
        (REPOSITORY, "r.io:5000/a/b", "r.io:5000/a/b"),
        (URL, "https://mirror.example.com/x", "https://mirror.example.com/x"),
        (ARCHS, "amd64, x86_64,arm64", (Arch("x86_64", "amd64"), Arch("aarch64", "arm64"))),
    ],
)
def test_a_text_becomes_the_value_of_its_kind(
    kind: ValueKind[object], text: str, value: object
) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (whole(1), "0", "'0' is not a whole number of 1 or more"),
        (whole(1, 512), "513", "'513' is not a whole number from 1 to 512"),
        (whole(0), "1.5", "'1.5' is not a whole number of 0 or more"),
        (whole(0), "9" * 5000, "is not a whole number"),
        (whole(0), "٣", "'٣' is not a whole number of 0 or more"),
        (NAME, "-a", "'-a' is no name in Kubernetes"),
        (NAME, "a" * 254, "is no name in Kubernetes"),
        (QUANTITY, "0", "'0' requests nothing"),
        (DURATION, "5", "'5' is no duration"),
        (DURATION, "87600h1ms", "'87600h1ms' is longer than 87600h: write a shorter time"),
        (DURATION, "9" * 400 + "h", "is longer than 87600h"),
        (ARCHS, "amd64,amd65", "'amd65' is no architecture"),
        (IMAGE, "https://r.io/a", "'https://r.io/a' is no image reference: it is a URL, and the"),
        (IMAGE, "oci://me:secret@r.io/a", "'oci://r.io/a' is no image reference: it is a URL"),
        (REPOSITORY, "r.io/a:tag", "a repository is meant, without tag and digest"),
        (REPOSITORY, "https://r.io/a", "it is a URL, and the name of an image has no scheme"),
        (URL, "/mirror", "the uri does not begin with http:// or https://"),
    ],
)
def test_a_text_of_another_kind_is_refused_with_what_is_wrong(
    kind: ValueKind[object], text: str, words: str
) -> None:
    with pytest.raises(UsageError) as refused:
        kind.parse(text)
    assert words in refused.value.message


def test_what_would_do_is_said() -> None:
    for kind, text, hint in (
        (REPOSITORY, "https://me:secret@r.io/a", "write r.io/a"),
        (ARCH, "amd65", "did you mean amd64? known are 386, "),
        (ARCH, "x86-64", "did you mean x86_64? known are 386, "),
        (ARCH, "quantum", "known are 386, "),
    ):
        with pytest.raises(UsageError) as refused:
            kind.parse(text)
        assert str(refused.value.hint).startswith(hint)
