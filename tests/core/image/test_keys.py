"""Files that are private keys, made by openssl, and texts that only show one."""

from __future__ import annotations

import subprocess
from functools import cache

import pytest

from dag.core.image.keys import is_private_key


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(
        ["openssl", *arguments], input=given, check=True, capture_output=True
    ).stdout


@cache
def key(algorithm: str = "RSA") -> bytes:
    options = {"RSA": "rsa_keygen_bits:1024", "EC": "ec_paramgen_curve:P-256"}
    more = ("-pkeyopt", options[algorithm]) if algorithm in options else ()
    return openssl("genpkey", "-algorithm", algorithm, *more)


@cache
def certificate() -> bytes:
    return openssl("req", "-x509", "-key", "/dev/stdin", "-subj", "/CN=x", given=key())


def keys() -> dict[str, bytes]:
    text = key().decode()
    return {
        "PKCS #8": key(),
        "PKCS #1": openssl("rsa", "-traditional", given=key()),
        "CR LF": b"\r\n\r\n" + key().replace(b"\n", b"\r\n"),
        "CR": key().replace(b"\n", b"\r"),
        "UTF-8 with a mark": b"\xef\xbb\xbf" + key(),
        "UTF-16": text.encode("utf-16"),
        "UTF-16 BE": b"\xfe\xff" + text.encode("utf-16-be"),
        "a comment": b"# of the builder\n\n" + key(),
        "-text": openssl("rsa", "-text", given=key()),
        "-text of EC": openssl("pkey", "-text", given=key("EC")),
        "-text of Ed25519": openssl("pkey", "-text", given=key("ED25519")),
        "behind a certificate": certificate() + key(),
        "behind the text of one": openssl("x509", "-text", given=certificate()) + key(),
        "subject": b"subject=/CN=x\nissuer=/CN=x\n" + certificate() + key(),
        "of a bag": b"Key Attributes: <No Attributes>\n" + key(),
        "of half a bag": b"    friendlyName: x\n" + key(),
        "DER": openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", given=key()),
        "DER, PKCS #1": openssl("rsa", "-traditional", "-outform", "DER", given=key()),
        "DER, EC": openssl("pkey", "-outform", "DER", given=key("EC")),
        "DER, SEC 1": openssl("ec", "-outform", "DER", given=key("EC")),
        "DER, Ed25519": openssl("pkey", "-outform", "DER", given=key("ED25519")),
    }


def test_a_key_is_one_however_it_is_written() -> None:
    assert [name for name, data in keys().items() if not is_private_key(data)] == []


@pytest.mark.parametrize(
    "before",
    [
        "package:\n  name: ca\npipeline:\n  - runs: |\n      cat > k <<E\n",
        "# made by hand\npackage:\n  name: ca\n",
        "#!/bin/sh\ncat <<E\n",
        "The key:\n",
        "curl -k\n",
        "key=x\n",
    ],
)
def test_a_text_that_shows_one_is_none(before: str) -> None:
    assert not is_private_key(before.encode() + key())


def test_other_files_are_none() -> None:
    others = {
        "empty": b"",
        "one byte": b"0",
        "two": b"0\x84",
        "a text that begins like DER": b"0123456789",
        "a certificate": certificate(),
        "its text": openssl("x509", "-text", given=certificate()),
        "a certificate in DER": openssl("x509", "-outform", "DER", given=certificate()),
        "a request in DER": openssl(
            *("req", "-new", "-key", "/dev/stdin", "-subj", "/CN=x", "-outform", "DER"), given=key()
        ),
        "a public key": openssl("pkey", "-pubout", given=key()),
        "a public key in DER": openssl("pkey", "-pubout", "-outform", "DER", given=key()),
        "something behind a key": keys()["DER"] + b"\n",
        "UTF-16": "package:\n".encode("utf-16"),
    }
    assert [name for name, data in others.items() if is_private_key(data)] == []
