"""Looks at the keys that are to sign, before anything is built that they could not sign.

melange takes the first block of PEM in a file and reads it as PKCS #1 (pkg/sign/rsa.go), while OpenSSL 3
writes PKCS #8; and Go refuses to sign with a small key. `dag` itself signs with either.
"""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from pathlib import Path

from dag.core.limits import CREDENTIALS, PUBLIC_KEY, Limit
from dag.core.package.signature import PublicKey, read_public_key
from dag.errors import UsageError
from dag.io.files import read_bytes

_FIRST_BLOCK = re.compile(rb"^[ \t]*-----BEGIN ([^\r\n]*)-----", re.MULTILINE)
_PKCS1 = b"RSA PRIVATE KEY"
_FEWEST_BITS = 1024
"""https://pkg.go.dev/crypto/rsa#hdr-Minimum_key_size, and what those who verify ask for."""
_MAKE = "`melange keygen FILE` makes one"


def public_half(key: Path) -> Path:
    """Return the path of a key's public half."""
    return key.with_name(f"{key.name}.pub")


def require_pair(key: Path, *, for_melange: bool) -> None:
    """Refuse a key that cannot sign, or whose `.pub` is not its public half.

    `for_melange` says that melange is to sign with it, and not `dag` alone.

    Raises:
        UsageError: it is such a key.

    """
    modulus = _modulus(key, for_melange=for_melange)
    public = public_half(key)
    made = f"openssl rsa -in {_quoted(key)} -pubout -out {_quoted(public)}"
    found = read_public_key(_content(public, PUBLIC_KEY))
    if found is None:
        raise UsageError(f"{public} is no public RSA key in PEM", hint=f"make it with: {made}")
    if found != modulus:
        raise UsageError(
            f"{public} is not the public half of {key}",
            hint=f"name the key that it belongs to, or make the one of this key with: {made}",
        )


def public_text(key: Path) -> bytes:
    """Return the public half of a private key in PEM, which need not lie beside it.

    Raises:
        UsageError: it is no key that can sign.

    """
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found = _modulus(key, for_melange=False)
    public = rsa.RSAPublicNumbers(found.exponent, found.modulus).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_key_text(path: Path) -> str:
    """Return the text of a public key in PEM.

    Raises:
        UsageError: it is none.

    """
    data = _content(path, PUBLIC_KEY)
    if read_public_key(data) is None:
        raise UsageError(f"{path} is no public RSA key in PEM", hint="name the `.pub` of a key")
    return data.decode(errors="replace")


def require_key(key: Path, *, for_melange: bool = True) -> None:
    """Refuse a key that cannot sign, or with which melange cannot, if it is `for_melange`.

    Raises:
        UsageError: it is such a key.

    """
    _modulus(key, for_melange=for_melange)


def _modulus(key: Path, *, for_melange: bool) -> PublicKey:
    content = _content(key, CREDENTIALS)
    found = _read_private(content)
    if isinstance(found, str):
        raise UsageError(f"{key} {found}", hint=_MAKE)
    if found.modulus.bit_length() < _FEWEST_BITS:
        raise UsageError(
            f"{key} has {found.modulus.bit_length()} bits, "
            f"and a signature of fewer than {_FEWEST_BITS} is not accepted",
            hint=_MAKE,
        )
    block = _FIRST_BLOCK.search(content)
    if for_melange and (block is None or block[1] != _PKCS1):
        new = key.with_name(f"{key.name}.new")
        raise UsageError(
            f"{key} is not in the format PKCS #1, the only one in which melange reads a key",
            hint=f"write it anew with: openssl rsa -traditional -in {_quoted(key)} "
            f"-out {_quoted(new)} && mv {_quoted(new)} {_quoted(key)}",
        )
    return found


def _content(path: Path, limit: Limit) -> bytes:
    try:
        return read_bytes(path, limit)
    except OSError as error:
        raise UsageError(
            f"the key {path} cannot be read: {error.strerror}",
            hint="name a file that you can read",
        ) from error


@lru_cache(maxsize=8)
def _read_private(content: bytes) -> PublicKey | str:
    """Return what a private key verifies with, or what is wrong with it.

    That is found out once: it takes a tenth of a second, and one command asks several times.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        return "needs a password, which nobody can type where packages are signed"
    except Exception:  # noqa: BLE001  # whatever a strange file makes the library say
        return "is no RSA key in PEM"
    if not isinstance(key, rsa.RSAPrivateKey):
        return "is no RSA key in PEM"
    numbers = key.public_key().public_numbers()
    return PublicKey(numbers.n, numbers.e)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
