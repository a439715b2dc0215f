"""Finds the proxy that the environment names for an API server, by the rules that kubectl follows.

httpx2 has its own, but only for transports that it makes itself, and they know no networks such as
10.0.0.0/8, by which clusters are most often excepted.
https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from urllib.request import getproxies_environment

import httpx2

from dag.io.proxies import check_proxy, proxy_variable

_PORTS = {"http": 80, "https": 443}


def proxy_of_environment(server: httpx2.URL) -> str | None:
    """Return the proxy for `server`, as a URL, or None if it is asked directly.

    Raises:
        InfrastructureError: the environment names one that cannot be used.

    """
    proxies = getproxies_environment()
    value = proxies.get(server.scheme)
    if not value or _is_excepted(server, proxies.get("no", "")):
        return None
    check_proxy(proxy_variable(server.scheme), value)
    return value if "://" in value else f"http://{value}"


def _is_excepted(server: httpx2.URL, listed: str) -> bool:
    host = server.host.lower().rstrip(".")
    address = None
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    port = server.port or _PORTS.get(server.scheme)
    entries = (entry.strip().lower() for entry in listed.split(","))
    return any(entry and _matches(entry, host, address, port) for entry in entries)


def _matches(
    entry: str,
    host: str,
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None,
    port: int | None,
) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        with suppress(ValueError):
            network = ipaddress.ip_network(entry, strict=False)
            return address is not None and address in network
        return False
    name, colon, number = entry.rpartition(":")
    # More than one colon is an IPv6 address, unless it is in brackets.
    if colon and (":" not in name or name.endswith("]")) and number.isdigit():
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    if address is not None:
        with suppress(ValueError):
            return ipaddress.ip_address(entry) == address
        return False
    # `.example.com` and `*.example.com` are what is below, `example.com` that and itself.
    entry = entry.removeprefix("*")
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or host.endswith(f".{entry}")
