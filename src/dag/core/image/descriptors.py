"""Checks what a registry says, before any of it becomes part of a path or of a URL.

Registries are untrusted: what they name is read, and what they describe is copied, but a digest is
nothing but an algorithm and hex.
https://github.com/opencontainers/image-spec/blob/main/descriptor.md
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
"""All of our blobs have it, and so have all images that anybody has seen; sha512 is registered,
too, but no registry names anything by it."""


@dataclass(frozen=True)
class Blob:
    """A layer or a config, as a manifest describes it."""

    media_type: str
    digest: str
    size: int

    @classmethod
    def parse(cls, document: object) -> Blob:
        """Return what a descriptor says that a registry gave, once it is checked.

        Raises:
            ValueError: it is none; the text says so.

        """
        if not isinstance(document, dict):
            raise ValueError(f"{_quote(document)} is no descriptor")  # noqa: TRY004
        media_type, size = document.get("mediaType"), document.get("size")
        if not isinstance(media_type, str):
            raise ValueError(f"{_quote(media_type)} is no media type")  # noqa: TRY004
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"{_quote(size)} is no size")
        return cls(media_type, parse_digest(document.get("digest")), size)

    def descriptor(self) -> dict[str, Any]:
        """Return the descriptor.

        https://github.com/opencontainers/image-spec/blob/main/descriptor.md
        """
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def is_digest(text: str) -> bool:
    """Return whether this is `sha256:` and 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def parse_digest(text: object) -> str:
    """Return a digest that a registry gave, once it is checked: the only way by which one comes in.

    Raises:
        ValueError: it is none; the text says so.

    """
    if not isinstance(text, str) or not is_digest(text):
        raise ValueError(f"{_quote(text)} is no digest (sha256: and 64 hex digits)")
    return text


def parse_object(data: bytes | str) -> dict[str, Any]:
    """Return a JSON object that somebody else wrote.

    Raises:
        ValueError: it is none; the text says so.

    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValueError("this is no JSON object")  # noqa: TRY004
    return document


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
