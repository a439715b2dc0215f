"""The proxies that the environment names, checked before anybody relies on them."""

from __future__ import annotations

import os
import re
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
