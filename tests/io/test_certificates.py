"""Certificates that are not taken, each told with what may help, by whoever meets them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dag.io.image.registry.refusals import unreachable
from dag.io.sources.failures import tls_problem
from dag.io.store.buckets.refusals import bucket_error

TRUSTED, EXPIRED, FUTURE = timedelta(), timedelta(days=-30), timedelta(days=30)


def certificate(directory: Path, shift: timedelta) -> Path:
    """Write a certificate for server.example, which is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server.example")])
    now = datetime.now(UTC) + shift
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("server.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "both.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


def refusal(file: Path, host: str, *, trusted: bool) -> ssl.SSLCertVerificationError:
    """Shake hands in memory, and return why the client did not take the certificate."""
    ours = ssl.create_default_context(cafile=str(file)) if trusted else ssl.create_default_context()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(file)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(back, there, server_hostname=host)
    server = theirs.wrap_bio(there, back, server_side=True)
    for side in (client, server):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        client.do_handshake()
    return caught.value


@pytest.mark.parametrize(
    ("shift", "host", "trusted", "hint"),
    [
        (TRUSTED, "server.example", False, "$SSL_CERT_FILE"),
        (EXPIRED, "server.example", True, "is the clock of this machine right?"),
        (FUTURE, "server.example", True, "is the clock of this machine right?"),
        (TRUSTED, "other.example", True, "another server answers there"),
        (TRUSTED, "127.0.0.1", True, "another server answers there"),
    ],
)
def test_a_certificate_that_is_not_taken_is_told_with_what_may_help(
    tmp_path: Path, shift: timedelta, host: str, trusted: bool, hint: str
) -> None:
    error = refusal(certificate(tmp_path, shift), host, trusted=trusted)
    said = tls_problem(error)
    assert said is not None
    assert said.startswith(error.verify_message)
    assert hint in said
    assert hint in (unreachable("server.example", error, insecure=False).hint or "")
    assert hint in (bucket_error("gs://bucket", error).hint or "")


@pytest.mark.parametrize(
    ("parts", "hint"),
    [
        ("InvalidCertificate(\n  Expired,\n)", "is the clock of this machine right?"),
        (
            "InvalidCertificate(\n ExpiredContext {\n time: 1 }",
            "is the clock of this machine right?",
        ),
        ("InvalidCertificate(\n NotValidForNameContext {\n }", "another server answers there"),
        ("InvalidCertificate(\n  UnknownIssuer,\n)", "$SSL_CERT_FILE"),
    ],
)
def test_what_another_library_calls_it_is_told_with_the_same(parts: str, hint: str) -> None:
    error = OSError(f"Generic S3 error: error sending request\n\nDebug source:\n{parts}")
    found = bucket_error("s3://bucket", error)
    assert "its certificate is not trusted" in found.message
    assert hint in (found.hint or "")
