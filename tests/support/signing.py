"""Keys and signed indexes, made by openssl as abuild-sign makes them."""

from __future__ import annotations

import gzip
import itertools
import subprocess
from functools import cache
from pathlib import Path

from tests.support.archives import tar_header

_TURNS = itertools.count()
_KEYS = 4
"""How many different keys there are: making one takes longer than most tests that need one."""


@cache
def _key_pair(_number: int) -> tuple[bytes, bytes]:
    """Return a private key and its public half; for each number others."""
    private = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True).stdout
    run = ["openssl", "rsa", "-pubout"]
    done = subprocess.run(run, input=private, check=True, capture_output=True)
    return private, done.stdout


class SigningKey:
    """An RSA key on the disk, with its public half beside it; the next ones made are others."""

    def __init__(self, directory: Path, name: str = "test.rsa") -> None:
        self.private = directory / name
        self.public = directory / f"{name}.pub"
        private, public = _key_pair(next(_TURNS) % _KEYS)
        self.private.write_bytes(private)
        self.public.write_bytes(public)

    def sign(self, data: bytes, digest: str = "sha256") -> bytes:
        """Return the signature of `data`, PKCS #1 v1.5."""
        run = ["openssl", "dgst", f"-{digest}", "-sign", str(self.private)]
        return subprocess.run(run, input=data, check=True, capture_output=True).stdout

    def signed(self, index: bytes, *, kind: str = "RSA256") -> bytes:
        """Return an index with a signature before it."""
        signature = self.sign(index, "sha1" if kind == "RSA" else "sha256")
        return signature_member(f".SIGN.{kind}.{self.public.name}", signature) + index


def signature_member(name: str, signature: bytes) -> bytes:
    """Return a gzip stream with one file, and no end of the archive, as before an index."""
    padding = -len(signature) % 512
    tar = tar_header(b"0", len(signature), name) + signature + bytes(padding)
    return gzip.compress(tar, mtime=0)
