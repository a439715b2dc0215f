"""A certificate for the proxy's own address, made by openssl when a test needs it."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_certificate(directory: Path, host: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for `host`; return the paths of it and of its key.

    It is its own authority: a client that trusts the certificate trusts the server.
    """
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    mine = f"IP:{host}" if re.fullmatch(r"[\d.]+|.*:.*", host) else f"DNS:{host}"
    names = ",".join(dict.fromkeys([mine, "IP:127.0.0.1", "DNS:localhost"]))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=fault proxy"]
    command += ["-addext", f"subjectAltName={names}"]
    # Python 3.13 verifies strictly, and a certificate has to say what its key is for.
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command += ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
