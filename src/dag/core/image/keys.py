"""Tells private keys from other files, also from texts that only show one.

https://www.rfc-editor.org/rfc/rfc7468; OpenSSH's and OpenPGP's armour look the same.
"""

from __future__ import annotations

import re

_LINE = re.compile(rb"([^\r\n]*)(?:\r\n?|\n|\Z)")
_BEGIN = b"-----BEGIN "
_PREAMBLE = re.compile(
    rb"\s*(?:#.*)?"
    rb"|[ \t].*"
    rb"|(?:subject|issuer) ?=.*"
    rb"|(?:Bag|Key) Attributes.*"
    rb"|Certificate:"
    rb"|(?:[A-Z0-9-]+ )?(?:Private|Public)-Key:.*"
    rb"|(?:modulus|publicExponent|privateExponent|prime[0-9]+|exponent[0-9]+|coefficient[0-9]*"
    rb"|priv|pub|ASN1 OID|NIST CURVE|P|Q|G):.*"
)
"""Lines that stand before a key that openssl wrote with `-text`, or took out of a bag or a request. None
of it begins a definition, a script or a page."""
_KEY_BLOCK = re.compile(rb"(?:^|[\r\n])[ \t]*-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_BOMS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_DER_KEY = re.compile(
    rb"\x02\x01\x00\x02[\x81\x82]"  # PKCS #1: version, modulus
    rb"|\x02\x01[\x00\x01]\x30.\x06"  # PKCS #8: version, algorithm
    rb"|\x02\x01\x01\x04[\x1c\x20\x30\x42]",  # SEC 1: version, a scalar of a curve's size
    re.DOTALL,
)


def is_key_name(path: str) -> bool:
    """Return whether a file of this name is a private key, as melange names them."""
    return path.endswith(".rsa")


def may_hold_key(data: bytes) -> bool:
    """Return whether a file that starts so is all PEM, and has to be looked at as a whole."""
    for line in _LINE.finditer(_plain(data)):
        text = line[1]
        if text.lstrip().startswith(_BEGIN):
            return True
        if not _PREAMBLE.fullmatch(text):
            return False
    return False


def is_private_key(data: bytes) -> bool:
    """Return whether a file is a private key as a whole: PEM with what is said of it, or DER."""
    if data[:1] == b"\x30":
        return _is_der_key(data)
    return may_hold_key(data) and _KEY_BLOCK.search(_plain(data)) is not None


def _plain(data: bytes) -> bytes:
    if encoding := _BOMS.get(data[:2]):
        return data[2:].decode(encoding, errors="replace").encode()
    return data.removeprefix(b"\xef\xbb\xbf")


def _is_der_key(data: bytes) -> bool:
    # Nothing but a key has this beginning and says of itself that it is as long as the file.
    long = data[1] - 0x80 if len(data) > 1 and data[1] & 0x80 else 0
    start = 2 + long
    length = int.from_bytes(data[2:start]) if long else int.from_bytes(data[1:2])
    return long <= 4 and start + length == len(data) and _DER_KEY.match(data, start) is not None
