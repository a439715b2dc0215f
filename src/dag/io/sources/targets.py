"""Where a request is sent: a URI taken apart, with the proxy and the login that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from dag.core.web import ascii_host, check_uri
from dag.errors import InfrastructureError
from dag.io.proxies import check_proxies, proxy_variable, proxy_variables
from dag.io.sources.logins import basic_login

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from dag.io.sources.logins import Logins

_PORTS = {"http": 80, "https": 443}
# What URIs are made of, and %: what is escaped already stays so.
_AS_WRITTEN = "/?#[]@!$&'()*+,;=:%~|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A host and a port, and who one is there."""

    is_secure: bool
    host: str
    port: int
    login: str = ""
    """The value of the Authorization header; often empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy(Peer):
    """A proxy, which is told whom a request is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTarget(Peer):
    """A host, and what is asked from it."""

    path: str
    """The path and the query, escaped."""

    @property
    def origin(self) -> tuple[bool, str, int]:
        """Return what it has in common with all that is asked from the same server."""
        return self.is_secure, self.host, self.port

    @property
    def host_in_uri(self) -> str:
        """Return the host as URIs and headers have it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def authority(self) -> str:
        """Return the host, and the port if it is not the usual one: the header `Host`."""
        usual = self.port == (443 if self.is_secure else 80)
        return self.host_in_uri if usual else f"{self.host_in_uri}:{self.port}"


def target_of(uri: str, logins: Logins) -> RequestTarget:
    """Take a URI apart; its own user and password come before those of `logins`.

    Raises:
        UsageError: it cannot be asked for.

    """
    parts = check_uri(uri)
    host = ascii_host(parts.hostname or "")
    is_secure = parts.scheme == "https"
    path = quote(parts.path or "/", safe=_AS_WRITTEN)
    if parts.query:
        path += f"?{quote(parts.query, safe=_AS_WRITTEN)}"
    return RequestTarget(
        is_secure=is_secure,
        host=host,
        port=parts.port or _PORTS[parts.scheme],
        login=_own_login(parts) or logins.header(host, is_secure=is_secure),
        path=path,
    )


def proxy_for(target: RequestTarget) -> Proxy | None:
    """Return the proxy that the environment names for a host; None if it is asked itself.

    Raises:
        InfrastructureError: it names one that cannot be used.

    """
    check_proxies()
    proxies = proxy_variables()
    kind = "https" if target.is_secure else "http"
    if kind not in proxies:
        kind = "all"
    value = proxies.get(kind)
    if not value:
        return None
    from urllib.request import proxy_bypass

    if proxy_bypass(f"{target.host_in_uri}:{target.port}"):
        return None
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme not in _PORTS:
        raise InfrastructureError(
            f"${proxy_variable(kind)} names a SOCKS proxy, which `dag cache` does not speak with",
            hint="http://HOST:PORT is a proxy; or unset the variable",
        )
    return Proxy(
        is_secure=parts.scheme == "https",
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        login=_own_login(parts),
    )


def _own_login(parts: SplitResult) -> str:
    if parts.username is None and parts.password is None:
        return ""
    return basic_login(unquote(parts.username or ""), unquote(parts.password or ""))
