"""Whether this machine can reach a server at all, and whether a proxy serves."""

from __future__ import annotations

import os
import socket
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import SplitResult, unquote, urlsplit

from dag.io.proxies import is_excepted, proxy_fault, proxy_variables

_PORTS = {"http": 80, "https": 443, "git": 9418, "ssh": 22}
_SECONDS = 10.0
CLOSED_TO_POD = "does a NetworkPolicy close the way there from this pod?"
"""What to look at if nobody answers a pod; a policy lets no refusal come back."""


def is_in_pod() -> bool:
    """Return whether this process runs in a pod of Kubernetes.

    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    """
    return "KUBERNETES_SERVICE_HOST" in os.environ


def no_connection(url: str, variables: Mapping[str, str] | None = None) -> str | None:
    """Return in words why no connection can be made to the server of a URL, or to its proxy.

    `variables` name the proxies; if none are given, the environment does. The server is sent nothing.
    It is None if a connection can be made, and also if nobody can tell: then `url` names no server.
    """
    try:
        parts = urlsplit(url)
        proxy = _proxy_for(parts, variables)
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
        return f"there is no connection to {'the proxy ' if proxy else ''}{host}: {_why(error)}"


def _proxy_for(server: SplitResult, variables: Mapping[str, str] | None) -> str | None:
    """Return the proxy that programs use for a server by what variables say; None for none."""
    scheme = server.scheme
    if variables is None:
        proxies = proxy_variables()
    else:
        kinds = ("http", "https", "no")
        proxies = {kind: variables.get(f"{kind}_proxy", "") for kind in kinds}
    if not proxies or scheme not in ("http", "https"):
        return None
    if is_excepted(server.hostname or "", server.port or _PORTS[scheme], proxies.get("no", "")):
        return None
    return proxies.get(scheme) or proxies.get("all")


def useless_proxy(proxy: str) -> str | None:
    """Return in words why a proxy does not serve; None if it does, or if nobody can tell.

    It is asked for a host that cannot exist, so it need not reach anything.

    Raises:
        InfrastructureError: the CA certificates that the environment names cannot be read.

    """
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    from dag.io.web import tls_context

    if why := proxy_fault(proxy):
        return f"it {why}"
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in _PORTS:
        return None
    host = parts.hostname or ""
    login = ""
    if parts.username is not None:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login = f"Basic {b64encode(words.encode()).decode()}"
    connection = (
        HTTPSConnection(host, parts.port, timeout=_SECONDS, context=tls_context())
        if parts.scheme == "https"
        else HTTPConnection(host, parts.port, timeout=_SECONDS)
    )
    with closing(connection):
        try:
            connection.connect()
            headers = {"Proxy-Authorization": login} if login else {}
            connection.request("HEAD", "http://dag.invalid/", headers=headers)
            status = connection.getresponse().status
        except TimeoutError:
            return None if connection.sock else f"there is no connection to {host} in time"
        except HTTPException:
            return f"{host} does not answer as a proxy does"
        except (OSError, UnicodeError) as error:
            return f"there is no connection to {host}: {_why(error)}"
    if status != 407:
        return None
    return "it does not take the login" if login else "it wants a login"


def _why(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
