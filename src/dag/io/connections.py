"""Whether this machine can reach a server at all, asked without sending it anything."""

from __future__ import annotations

import socket
from contextlib import closing
from urllib.parse import urlsplit

from dag.io.proxies import proxy_variables

_PORTS = {"http": 80, "https": 443, "git": 9418, "ssh": 22}
_SECONDS = 10.0


def no_connection(url: str) -> str | None:
    """Return in words why no connection can be made to the server of a URL, or to its proxy.

    It is None if one can be made, and also if nobody can tell: then `url` names no server.
    """
    try:
        parts = urlsplit(url)
        proxy = _proxy_for(parts.scheme, parts.hostname or "")
        server = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else parts
        host, port = server.hostname, server.port or _PORTS.get(server.scheme)
    except ValueError:
        return None
    if not host or not port:
        return None
    try:
        with closing(socket.create_connection((host, port), _SECONDS)):
            return None
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"there is no connection to {'the proxy ' if proxy else ''}{host}: {why}"


def _proxy_for(scheme: str, host: str) -> str | None:
    """Return the proxy that programs use for a host by what the environment says; None for none."""
    proxies = proxy_variables()
    if not proxies:
        return None
    from urllib.request import proxy_bypass

    if scheme not in ("http", "https") or proxy_bypass(host):
        return None
    return proxies.get(scheme) or proxies.get("all")
