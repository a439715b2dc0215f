"""Keys are refused before a build, by the rules of the melange that signs with them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dag.core.package.apk import index_archive
from dag.errors import UsageError
from dag.io.package.keypairs import require_key, require_pair
from tests.support.keys import make_key, make_public_half, openssl, private_key
from tests.support.melange import binary

TRADITIONAL = "-traditional"
LOCKED = ("-aes128", "-passout", "pass:secret")


def text(path: Path, content: str) -> None:
    path.write_text(content)


KINDS: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "PKCS #1": (lambda key: make_key(key, TRADITIONAL), None),
    "PKCS #1 after words": (lambda key: text(key, f"mine\n\n{private_key()}"), None),
    "PKCS #1 of Windows": (lambda key: text(key, private_key().replace("\n", "\r\n")), None),
    "PKCS #8": (make_key, "is not in the format PKCS #1"),
    "a certificate before it": (
        lambda key: text(key, f"-----BEGIN X-----\nAAAA\n-----END X-----\n{private_key()}"),
        "is not in the format PKCS #1",
    ),
    "a curve": (
        lambda key: openssl(
            *["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"], str(key)
        ),
        "is no RSA key in PEM",
    ),
    "PKCS #1 with a password": (lambda key: make_key(key, TRADITIONAL, *LOCKED), "a password"),
    "PKCS #8 with a password": (lambda key: make_key(key, *LOCKED), "needs a password"),
    "512 bits": (
        lambda key: openssl("genrsa", TRADITIONAL, "-out", str(key), "512"),
        "has 512 bits",
    ),
    "junk": (lambda key: text(key, "junk\n"), "is no RSA key in PEM"),
    "nothing": (lambda key: text(key, ""), "is no RSA key in PEM"),
    "DER": (
        lambda key: (
            openssl("genrsa", "-out", f"{key}.pem", "2048")
            + openssl("rsa", "-in", f"{key}.pem", "-outform", "DER", "-out", str(key))
        ),
        "is no RSA key in PEM",
    ),
    "a public key": (
        lambda key: make_key(key).write_bytes(key.with_name("my.rsa.pub").read_bytes()),
        "is no RSA key in PEM",
    ),
}


@pytest.mark.installs
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_refused_if_melange_cannot_sign_with_it(tmp_path: Path, kind: str) -> None:
    make, expected = KINDS[kind]
    key, index = tmp_path / "my.rsa", tmp_path / "APKINDEX.tar.gz"
    make(key)
    index.write_bytes(index_archive([]))
    said = ""
    try:
        require_key(key)
    except UsageError as error:
        said = str(error)
    words = [str(binary()), "sign-index", "--signing-key", str(key), str(index)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is (not said), done.stderr
    assert (expected or "") in said


def test_dag_itself_signs_with_a_key_in_either_format(tmp_path: Path) -> None:
    for words in ((), (TRADITIONAL,)):
        require_pair(make_key(tmp_path / "my.rsa", *words), for_melange=False)


def test_what_the_error_says_makes_the_key_one_that_melange_reads(tmp_path: Path) -> None:
    key = make_key(tmp_path / "my key.rsa")
    with pytest.raises(UsageError) as caught:
        require_pair(key, for_melange=True)
    assert caught.value.hint is not None
    command = caught.value.hint.partition("with: ")[2]
    subprocess.run(["sh", "-ec", command], capture_output=True, check=True)
    require_pair(key, for_melange=True)
    assert key.stat().st_mode & 0o077 == 0


def test_the_public_half_of_another_key_is_refused_and_the_error_says_how_to_make_it(
    tmp_path: Path,
) -> None:
    key, other = tmp_path / "my.rsa", tmp_path / "other.rsa"
    make_key(key, TRADITIONAL)
    make_key(other, TRADITIONAL)
    make_public_half(key, of=other)
    with pytest.raises(UsageError, match=r"my\.rsa\.pub is not the public half of") as caught:
        require_pair(key, for_melange=True)
    assert caught.value.hint is not None
    command = caught.value.hint.partition("with: ")[2]
    subprocess.run(["sh", "-ec", command], capture_output=True, check=True)
    require_pair(key, for_melange=True)
    key.with_name("my.rsa.pub").write_text("junk\n")
    with pytest.raises(UsageError, match=r"my\.rsa\.pub is no public RSA key in PEM"):
        require_pair(key, for_melange=True)
