"""Has a cluster prove to us who it is, and proves by a certificate who we are."""

from __future__ import annotations

import ssl
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import urlsplit

import httpx2

from dag.core.limits import CERTIFICATES
from dag.errors import UsageError
from dag.io.files import read_named
from dag.io.kube.contexts import ChosenContext, UserEntry


def tls_context(chosen: ChosenContext) -> ssl.SSLContext:
    """Return what connections to the context's cluster are made with.

    Raises:
        UsageError: a certificate has no key.
        OSError, ValueError: a certificate cannot be read, or is none (`ssl.SSLError` is an OSError).

    """
    cluster, user = chosen.cluster, chosen.user
    if cluster.certificate_authority:
        written = read_named(Path(cluster.certificate_authority), CERTIFICATES)
        context = ssl.create_default_context(cadata=written.decode("ascii", errors="replace"))
    elif cluster.certificate_authority_data:
        known = _decode_base64(cluster.certificate_authority_data).decode("ascii")
        context = ssl.create_default_context(cadata=known)
    elif urlsplit(cluster.server).scheme == "http":
        # Nobody proves anything, and to read whom this machine trusts takes longer than a request.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = httpx2.create_ssl_context(verify=not cluster.insecure_skip_tls_verify)
    if user is not None and (user.client_certificate or user.client_certificate_data):
        if not (user.client_key or user.client_key_data):
            raise UsageError(
                f"{chosen.where}: the user has a client-certificate, but no client-key",
                hint="client-key, or client-key-data, is its other half",
            )
        _load_certificate(context, user)
    return context


def can_ask_for(name: str, context: ssl.SSLContext) -> bool:
    """Return whether a server can be asked for its certificate by this name."""
    try:  # a length, NUL or a dot at its beginning are refused, each by another error
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except (OSError, TypeError, ValueError):
        return False
    return True


def _load_certificate(context: ssl.SSLContext, user: UserEntry) -> None:
    # What is given as data wins over a file, as for kubectl.
    with (
        _file(user.client_certificate_data, user.client_certificate) as certificate,
        _file(user.client_key_data, user.client_key) as key,
    ):
        context.load_cert_chain(certificate, key)


@contextmanager
def _file(data: str | None, path: str | None) -> Iterator[str]:
    """Yield the name of a file with `data`, or with what is at `path`.

    Python's ssl takes this from files alone, and reads these without any limit.
    """
    content = _decode_base64(data) if data else read_named(Path(path or ""), CERTIFICATES)
    with NamedTemporaryFile() as file:  # which nobody else may read
        file.write(content)
        file.flush()
        yield file.name


def _decode_base64(data: str) -> bytes:
    found = b64decode("".join(data.split()), validate=True)
    if not found:  # which Python takes for "trust whom this machine trusts"
        raise ValueError("what should be a certificate is empty")
    return found
