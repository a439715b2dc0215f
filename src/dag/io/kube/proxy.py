"""Finds the proxy that the environment names for an API server, by the rules that kubectl follows.

httpx2 has its own, but only for transports that it makes itself, and they know no networks such as
10.0.0.0/8, by which clusters are most often excepted.
https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
"""

from __future__ import annotations

from urllib.request import getproxies_environment

import httpx2

from dag.io.proxies import check_proxy, is_excepted, proxy_variable

_PORTS = {"http": 80, "https": 443}


def proxy_of_environment(server: httpx2.URL) -> str | None:
    """Return the proxy for `server`, as a URL, or None if it is asked directly.

    Raises:
        InfrastructureError: the environment names one that cannot be used.

    """
    proxies = getproxies_environment()
    value = proxies.get(server.scheme)
    port = server.port or _PORTS.get(server.scheme)
    if not value or is_excepted(server.host, port, proxies.get("no", "")):
        return None
    check_proxy(proxy_variable(server.scheme), value)
    return value if "://" in value else f"http://{value}"
