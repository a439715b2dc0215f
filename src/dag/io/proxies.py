"""The proxies that the environment names, checked before anybody relies on them."""

from __future__ import annotations

import ipaddress
import os
import re
from contextlib import suppress
from importlib.util import find_spec
from urllib.parse import urlsplit

from dag.errors import InfrastructureError

_SCHEMES = ("http", "https", "socks5", "socks5h")
_NO_URL = re.compile(r"[\x00-\x20\x7f\\]")


def proxy_variables() -> dict[str, str]:
    """Return the proxies of the environment by what they are for: `http`, `https`, `all`, `no`."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    from urllib.request import getproxies_environment  # it takes as long to import as all else here

    return getproxies_environment()


def check_proxies() -> None:
    """Refuse proxies of the environment that cannot be used.

    Raises:
        InfrastructureError: one cannot; its variable is named, its value not, which may hold a
            password.

    """
    proxies = proxy_variables()
    if "*" in (one.strip() for one in proxies.get("no", "").split(",")):
        return
    for kind in ("http", "https", "all"):
        if value := proxies.get(kind):
            check_proxy(proxy_variable(kind), value)


def proxy_fault(value: str) -> str | None:
    """Return why this cannot be a proxy, as the words after its name; None if it can be."""
    try:
        proxy = urlsplit(value if "://" in value else f"http://{value}")
        port = proxy.port
    except ValueError:
        return "is no URL"
    if _NO_URL.search(value):
        return "is no URL"
    if proxy.scheme not in _SCHEMES:
        return f"names a proxy of the kind {proxy.scheme}, which nothing here speaks"
    if not proxy.hostname or port == 0:
        return "names no host, or no port that can be"
    if proxy.scheme.startswith("socks") and find_spec("socksio") is None:
        return "names a SOCKS proxy, which needs the Python package socksio"
    return None


def check_proxy(variable: str, value: str) -> None:
    """Refuse a proxy that cannot be one.

    Raises:
        InfrastructureError: it cannot; the variable is named, its value not.

    """
    if why := proxy_fault(value):
        raise InfrastructureError(
            f"${variable} {why}", hint="http://HOST:PORT is a proxy; or unset the variable"
        )


def proxy_variable(kind: str) -> str:
    """Return the variable that `kind` of proxy is from; lower case wins where both are set."""
    lower = f"{kind}_proxy"
    return lower if os.environ.get(lower) else lower.upper()


def is_excepted(host: str, port: int | None, listed: str) -> bool:
    """Return whether a host is asked without a proxy, by the rules of Go; `listed` is `$no_proxy`.

    https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
    """
    host = host.lower().rstrip(".")
    address = None
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
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
