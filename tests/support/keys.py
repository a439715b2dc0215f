"""Keys of each kind that people have, made by openssl."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path


def make_key(path: Path, *words: str) -> Path:
    """Write what `openssl genrsa` makes with these words, and its public half beside it."""
    openssl("genrsa", *words, "-out", str(path), "2048")
    return make_public_half(path)


def make_public_half(path: Path, *, of: Path | None = None) -> Path:
    """Write the public half of a key beside `path`, and return that."""
    public = path.with_name(f"{path.name}.pub")
    words = ("-passin", "pass:secret", "-pubout", "-out", str(public))
    openssl("pkey", "-in", str(of or path), *words)
    return path


@cache
def private_key() -> str:
    """Return a key in the format that melange reads."""
    return openssl("genrsa", "-traditional", "2048")


def openssl(*words: str) -> str:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=True)
    return done.stdout
