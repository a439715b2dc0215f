"""Makes the client for the cluster of a context: its server, its proxy, its certificates and its user.

Nothing is left out in silence: what cannot be followed is an error that names file and context.
"""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from dag.core.limits import CERTIFICATES
from dag.errors import InfrastructureError, UsageError
from dag.io.files import read_named
from dag.io.kube.auth import Plugin, PluginAuth, Token, TokenFile
from dag.io.kube.contexts import ChosenContext, PluginEntry, UserEntry, choose_context
from dag.io.kube.impersonation import impersonation_of
from dag.io.kube.proxy import proxy_of_environment
from dag.io.kube.tls import can_ask_for, tls_context
from dag.io.proxies import proxy_fault

# A half-open connection must not hold a watch for ever: probe after 30 s, give up 30 s later.
_KEEPALIVE: list[tuple[int, int, int]] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
if hasattr(socket, "TCP_KEEPIDLE"):  # not on macOS
    _KEEPALIVE += [
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    ]
_EXEC_GROUP = "client.authentication.k8s.io"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One API server and a client that is allowed to speak to it."""

    server: str
    http: httpx2.AsyncClient


class _NamingTransport(httpx2.AsyncHTTPTransport):
    """Asks a server for its certificate by the name that a kubeconfig says, and not by its address."""

    def __init__(self, name: str | None, **settings: Any) -> None:  # noqa: ANN401  # as the base has them
        super().__init__(**settings)
        self._name = name

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request."""
        if self._name:
            request.extensions = {**request.extensions, "sni_hostname": self._name}
        return await super().handle_async_request(request)


def connect(kubeconfig: str | None = None, context: str | None = None) -> Cluster:
    """Make a client for the cluster that the flags, `$KUBECONFIG` or the pod's own account name.

    Nothing is sent yet, and no credential plugin is run.

    Raises:
        UsageError: a kubeconfig cannot be read, or has no such context, or one with mistakes.
        InfrastructureError: there is no configuration, or one that cannot be followed.

    """
    chosen = choose_context(kubeconfig, context)
    where = chosen.where
    if chosen.user is None:
        raise InfrastructureError(
            f"{where} names no user",
            hint="choose another context with --context, or add a user to it",
        )
    server = _server(chosen.cluster.server, where)
    proxy = _proxy(chosen.written.get("proxy-url"), where) or proxy_of_environment(server)
    try:
        verify = tls_context(chosen)
    except (OSError, ValueError) as error:
        raise InfrastructureError(
            f"{where}: the certificates cannot be used: {error}",
            hint="correct the certificates that it names or has in it",
        ) from error
    name = chosen.cluster.tls_server_name
    if name and not can_ask_for(name, verify):
        raise UsageError(
            f"{where}: the `tls-server-name` of its cluster is no name of a server: {name[:80]!r}",
            hint="write a name that the server's certificate has, or leave it out",
        )
    transport = _NamingTransport(
        name,
        verify=verify,
        limits=httpx2.Limits(max_connections=2000, max_keepalive_connections=50),
        socket_options=_KEEPALIVE,
        proxy=proxy,
    )
    http = httpx2.AsyncClient(
        base_url=server,
        auth=_auth(chosen.user, chosen),
        transport=transport,
        timeout=httpx2.Timeout(30, pool=None),
        headers=[(b"User-Agent", b"dag"), *impersonation_of(chosen)],
    )
    # A password in the URL is sent, but never shown.
    shown = str(server.copy_with(userinfo=b"")) if server.userinfo else chosen.cluster.server
    return Cluster(shown, http)


def _server(given: str, where: str) -> httpx2.URL:
    try:
        server = httpx2.URL(given)
    except (httpx2.InvalidURL, ValueError):
        problem = "is no URL"
    else:
        if server.scheme not in ("http", "https") or not server.host:
            problem = "is no URL"
        elif server.port is not None and not 0 < server.port < 1 << 16:
            problem = "has a port that cannot be"
        else:
            return server
    raise UsageError(
        f"{where}: the `server` of its cluster {problem}: {given.rpartition('@')[2]}",
        hint="https://HOST:PORT is a server",
    )


def _proxy(given: object, where: str) -> str | None:
    if not given:
        return None
    # Its value is not shown: it may hold a password.
    value = given if isinstance(given, str) else ""
    if why := proxy_fault(value) if "://" in value else "is no URL":
        raise UsageError(
            f"{where}: the `proxy-url` of its cluster {why}",
            hint="http://HOST:PORT is a proxy; $HTTPS_PROXY counts where there is no proxy-url",
        )
    return value


def _auth(user: UserEntry, chosen: ChosenContext) -> httpx2.Auth | None:
    # This is kubectl's order, too.
    where = chosen.where
    if user.token_file:
        return TokenFile(Path(user.token_file), f"{where}: the user's tokenFile")
    if user.token and user.token.strip():
        return Token(user.token, f"{where}: the user's token")
    if user.exec:
        return PluginAuth(_plugin(user.exec, chosen))
    if user.username and user.password:
        return httpx2.BasicAuth(user.username, user.password)
    return None


def _plugin(given: PluginEntry, chosen: ChosenContext) -> Plugin:
    """Return how a credential plugin is run.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins

    Raises:
        InfrastructureError: it speaks a protocol that is not known here.

    """
    group, _, number = given.api_version.partition("/")
    # The versions differ in nothing that is used here.
    if group != _EXEC_GROUP or number not in ("v1", "v1beta1", "v1alpha1"):
        raise InfrastructureError(
            f"{chosen.where}: its credential plugin speaks {given.api_version},"
            f" which dag does not follow: {_EXEC_GROUP}/v1 is known"
        )
    spec: dict[str, Any] = {"interactive": False}
    if given.provide_cluster_info:
        spec["cluster"] = _cluster_info(chosen)
    info = {"apiVersion": given.api_version, "kind": "ExecCredential", "spec": spec}
    env = {item.name: item.value for item in given.env or ()}
    return Plugin(
        [given.command, *(given.args or ())],
        {**env, "KUBERNETES_EXEC_INFO": json.dumps(info)},
        f"{chosen.where}: the credential plugin {given.command}",
        given.install_hint,
    )


def _cluster_info(chosen: ChosenContext) -> dict[str, Any]:
    # https://kubernetes.io/docs/reference/config-api/client-authentication.v1/#client-authentication-k8s-io-v1-Cluster
    cluster = chosen.written
    names = (
        "server",
        "tls-server-name",
        "insecure-skip-tls-verify",
        "certificate-authority-data",
        "proxy-url",
    )
    info = {name: cluster[name] for name in names if name in cluster}
    if path := cluster.get("certificate-authority"):  # which wins, as in `tls_context`
        data = read_named(Path(path), CERTIFICATES)
        info["certificate-authority-data"] = b64encode(data).decode()
    for extension in cluster.get("extensions") or ():
        if isinstance(extension, dict) and extension.get("name") == f"{_EXEC_GROUP}/exec":
            info["config"] = extension.get("extension")
    return info
