"""Signs an index of packages, as melange does: RSA over the SHA-256 of the archive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dag.core.limits import CREDENTIALS, TooLarge
from dag.core.package.apk import pack_signature
from dag.errors import InfrastructureError
from dag.io.files import read_bytes


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key in a file, and the name that its public half has on those who verify."""

    path: Path
    public_name: str

    def sign(self, index: bytes) -> bytes:
        """Return an index with its signature before it.

        Raises:
            InfrastructureError: the file is no RSA key in PEM, or cannot be read.

        """
        signature = self.sign_digest(hashlib.sha256(index).digest())
        return pack_signature(self.public_name, signature) + index

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the signature of what has this SHA-256.

        Raises:
            InfrastructureError: the file is no RSA key in PEM, or cannot be read.

        """
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(read_bytes(self.path, CREDENTIALS), password=None)
        except (ValueError, TypeError, TooLarge):
            key = None
        except OSError as error:
            raise InfrastructureError(
                f"{self.path}: {error.strerror}", hint="the key must be a file that you can read"
            ) from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise InfrastructureError(
                f"{self.path} is no RSA key in PEM", hint="`melange keygen FILE` makes one"
            )
        return key.sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))


def make_key(path: Path) -> None:
    """Make a new key, as `melange keygen` does, with `.pub` beside it.

    Raises:
        OSError: it cannot be written.

    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=4096)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.touch(mode=0o600)
    path.write_bytes(private)
    path.with_name(f"{path.name}.pub").write_bytes(public)
