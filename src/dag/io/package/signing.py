"""Signs an index of packages, as melange does: RSA over the SHA-256 of the archive."""

from __future__ import annotations

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
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(read_bytes(self.path, CREDENTIALS), password=None)
        except (ValueError, TypeError, TooLarge):
            key = None
        except OSError as error:
            raise InfrastructureError(f"{self.path}: {error.strerror}") from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise InfrastructureError(f"{self.path} is no RSA key in PEM")
        signature = key.sign(index, padding.PKCS1v15(), hashes.SHA256())
        return pack_signature(self.public_name, signature) + index
