"""Keys and signed indexes, made by openssl as abuild-sign makes them."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

from tests.support.archives import tar_header


class SigningKey:
    """An RSA key on the disk, with its public half beside it."""

    def __init__(self, directory: Path, name: str = "test.rsa", *, bits: int = 2048) -> None:
        self.private = directory / name
        self.public = directory / f"{name}.pub"
        run = ["openssl", "genrsa", "-out", str(self.private), str(bits)]
        subprocess.run(run, check=True, capture_output=True)
        run = ["openssl", "rsa", "-in", str(self.private), "-pubout", "-out", str(self.public)]
        subprocess.run(run, check=True, capture_output=True)

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
