"""Signatures of indexes, judged as apko does: RSA with PKCS #1 v1.5, by keys that are trusted.

apko 1.2.21, pkg/apk/apk/index.go: parseRepositoryIndex, and pkg/apk/signature. The padding is
compared as a whole, so nothing of a signature is parsed.
https://www.rfc-editor.org/rfc/rfc8017#section-8.2.2
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

FILE = re.compile(r"\.SIGN\.(?P<kind>DSA|RSA|RSA256|RSA512)\.(?P<key>.*\.rsa\.pub)")
"""The name of a signature's file: its kind, and the file of the key."""

_ENDING = ".rsa.pub"
_DIGESTS = {"RSA": "sha1", "RSA256": "sha256"}
"""The kinds that apko verifies, and what each signs a hash of."""
_PREFIXES = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
}
"""The beginning of a DigestInfo: https://www.rfc-editor.org/rfc/rfc8017#section-9.2"""
_RSA = bytes.fromhex("06092a864886f70d010101")
"""The object identifier rsaEncryption: https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1"""
_PEM = re.compile(
    rb"-----BEGIN PUBLIC KEY-----(?P<text>[A-Za-z0-9+/=\s]{0,65536})-----END PUBLIC KEY-----"
)
_MOST_BITS = 16384
"""The largest modulus: a larger one would take long, and nobody has it."""
_INTEGER, _BITS, _SEQUENCE = 0x02, 0x03, 0x30


class Signature(NamedTuple):
    """One signature of an index."""

    key: str
    """The name of the key's file, like `wolfi-signing.rsa.pub`."""
    digest: str
    """What it signs a hash with: sha1 or sha256."""
    value: bytes


class PublicKey(NamedTuple):
    """An RSA key."""

    modulus: int
    exponent: int


def read_signature(name: str, value: bytes) -> Signature | None:
    """Return the signature in a file of an index; None if apko passes over its kind.

    Raises:
        ValueError: no signature has a file of that name.

    """
    match = FILE.fullmatch(name)
    if match is None:
        raise ValueError(f"it has {name[:60]!r} where signatures are")
    digest = _DIGESTS.get(match["kind"])
    return None if digest is None else Signature(match["key"], digest, value)


def verify(
    signatures: Iterable[Signature], hashes: Mapping[str, bytes], keys: Mapping[str, PublicKey]
) -> bool:
    """Tell whether one of the signatures is right for a key that is trusted, by the key's name.

    `hashes` has what each kind of digest is of the index.
    """
    for one in signatures:
        key = keys.get(one.key) or keys.get(one.key.removesuffix(_ENDING))
        if key is not None and _is_right(one, hashes[one.digest], key):
            return True
    return False


def _is_right(signature: Signature, hashed: bytes, key: PublicKey) -> bool:
    size = (key.modulus.bit_length() + 7) // 8
    if len(signature.value) != size:
        return False
    number = int.from_bytes(signature.value)
    if number >= key.modulus:
        return False
    tail = b"\0" + _PREFIXES[signature.digest] + hashed
    padded = b"\0\1" + b"\xff" * (size - len(tail) - 2) + tail
    return len(padded) == size and pow(number, key.exponent, key.modulus).to_bytes(size) == padded


def read_public_key(data: bytes) -> PublicKey | None:
    """Return the RSA key in a file of PEM; None if there is none.

    https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.7
    """
    match = _PEM.search(data)
    if match is None:
        return None
    try:
        info = _Reader(binascii.a2b_base64(match["text"])).inside(_SEQUENCE)
        algorithm = info.inside(_SEQUENCE)
        if not algorithm.data.startswith(_RSA):
            return None
        bits = info.inside(_BITS).data
        if bits[:1] != b"\0":
            return None
        numbers = _Reader(bits[1:]).inside(_SEQUENCE)
        modulus, exponent = numbers.integer(), numbers.integer()
    except (ValueError, IndexError):
        return None
    if not (1024 <= modulus.bit_length() <= _MOST_BITS and 2 < exponent < 1 << 32):
        return None
    return PublicKey(modulus, exponent)


class _Reader:
    """Reads DER: https://www.itu.int/rec/T-REC-X.690."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def inside(self, tag: int) -> _Reader:
        """Take the next value, which must have a tag; return a reader of what is in it."""
        if self.data[0] != tag:
            raise ValueError("another value was expected")
        size, begin = self.data[1], 2
        if size & 0x80:
            count = size & 0x7F
            if not 0 < count <= 4:
                raise ValueError("a value has a length that cannot be")
            size, begin = int.from_bytes(self.data[2 : 2 + count]), 2 + count
        end = begin + size
        if end > len(self.data):
            raise ValueError("a value is longer than what it is in")
        found, self.data = self.data[begin:end], self.data[end:]
        return _Reader(found)

    def integer(self) -> int:
        """Take the next value, an integer."""
        return int.from_bytes(self.inside(_INTEGER).data, signed=True)
