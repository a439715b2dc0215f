"""The HTTP clients for one registry: whether it speaks https, whom they trust, through which proxy."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from dag.core.web import is_loopback
from dag.io.image.registry.auth import api_host
from dag.io.image.registry.refusals import RegistryError
from dag.io.proxies import check_proxies
from dag.io.web import NoCookies, tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

_TIMEOUT = httpx2.Timeout(60.0, connect=15.0, pool=None)
"""A registry that stores elsewhere answers a PUT only when it has passed everything on, so reading
is given a minute; what hangs longer is tried again."""
_CERTIFICATE_DIRECTORIES = (Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))
"""Docker's and podman's: the CAs of a host in `*.crt`, and what this machine shows it in `*.cert`.
https://docs.docker.com/engine/security/certificates/"""


class RegistryClients:
    """The clients, each made when it is needed; threads may share them."""

    def __init__(self, host: str, *, insecure: bool) -> None:
        """Take the registry's host; `insecure` allows plain http and any certificate."""
        self._host = host
        self._insecure = insecure
        self._lock = threading.Lock()
        self._secure = httpx2.URL(f"https://{api_host(host)}/v2/")
        self._clients: dict[tuple[bool, bool], httpx2.Client] = {}
        self._base: httpx2.URL | None = None

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.close()

    def base(self) -> httpx2.URL:
        """Return the URL of the registry's API; where http is allowed, https is tried first."""
        with self._lock:
            if self._base is None:
                self._base = self._find_base()
            return self._base

    def client(self, url: httpx2.URL) -> httpx2.Client:
        """Return the client for what a URL names.

        Raises:
            InfrastructureError: the environment names proxies or certificates that are none.

        """
        # One for https and one for http, made when needed: reading the CA certificates takes
        # longer than a push to a registry on this machine. Nobody but the registry itself is shown
        # the certificate of this machine.
        secure, ours = url.scheme == "https", url.origin == self._secure.origin
        with suppress(KeyError):
            return self._clients[secure, ours]
        verify = self._context(ours=ours) if secure and not self._insecure else False
        trust_env = not is_loopback(self._host)  # a proxy does not know our loopback
        if trust_env:
            check_proxies()
        client = httpx2.Client(
            verify=verify,
            timeout=_TIMEOUT,
            headers={"User-Agent": "dag", "Accept-Encoding": "identity"},
            trust_env=trust_env,
            cookies=NoCookies(),
        )
        return self._clients.setdefault((secure, ours), client)

    def _find_base(self) -> httpx2.URL:
        host = api_host(self._host)
        if is_loopback(host):
            return httpx2.URL(f"http://{host}/v2/")
        if self._insecure:
            try:
                with self.client(self._secure).stream("GET", self._secure):
                    pass
            except httpx2.TransportError:
                return httpx2.URL(f"http://{host}/v2/")
        return self._secure

    def _context(self, *, ours: bool) -> ssl.SSLContext:
        context = tls_context()
        for directory in _CERTIFICATE_DIRECTORIES:
            place = directory / self._host
            for certificate in sorted(place.glob("*.crt")):
                with _usable(
                    certificate, f"it is trusted for {self._host}: put its CA there, in PEM"
                ):
                    context.load_verify_locations(certificate)
            for certificate in sorted(place.glob("*.cert")) if ours else ():
                key = certificate.with_suffix(".key")
                with _usable(certificate, f"it needs its key without a password in {key}, in PEM"):
                    context.load_cert_chain(certificate, key, password="")
        return context


@contextmanager
def _usable(certificate: Path, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # an SSLError is one
        why = getattr(error, "reason", None) or error.strerror or error
        raise RegistryError(f"{certificate} cannot be used: {why}", hint=hint) from None
