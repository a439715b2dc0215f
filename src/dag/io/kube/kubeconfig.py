"""Which cluster, as whom: kubeconfig files by kubectl's rules, else the pod's own service account.

lightkube knows the formats and the ways to authenticate; the merging of several files and the
settings that it would silently ignore are dealt with here.
https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import json
import os
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml
from lightkube import ConfigError, KubeConfig, SingleConfig
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.models import User, UserExec

from dag.errors import InfrastructureError, UsageError
from dag.io.kube.auth import Plugin, PluginAuth, Token, TokenFile
from dag.io.kube.proxy import proxy_of_environment
from dag.io.web import proxy_fault

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# A half-open connection must not hold a watch for ever: probe after 30 s, give up 30 s later.
_KEEPALIVE: list[tuple[int, int, int]] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
if hasattr(socket, "TCP_KEEPIDLE"):  # not on macOS
    _KEEPALIVE += [
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    ]
_ANOTHER = "name another one with --kubeconfig or $KUBECONFIG"
_EXEC_GROUP = "client.authentication.k8s.io"
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One API server and a client that is allowed to speak to it."""

    server: str
    namespace: str
    """The context's own namespace, `default` if it names none."""
    http: httpx2.AsyncClient


@dataclass(frozen=True, slots=True)
class _Chosen:
    config: SingleConfig
    where: str
    """What to call the context in an error: its files and its name."""
    cluster: dict[str, Any]
    """The cluster's entry, with what lightkube does not know."""
    user: dict[str, Any]


def connect(kubeconfig: str | None = None, context: str | None = None) -> Cluster:
    """Make a client for the cluster that the flags, `$KUBECONFIG` or the pod's own account name.

    Nothing is sent yet, and no credential plugin is run.

    Raises:
        UsageError: a kubeconfig cannot be read, or has no such context, or one with mistakes.
        InfrastructureError: there is no configuration, or one that cannot be followed.

    """
    chosen = _choose(kubeconfig, context)
    config, where = chosen.config, chosen.where
    user, cluster = config.user, config.cluster
    if user is None:
        raise InfrastructureError(f"{where} names no user")
    server = _server(cluster.server, where)
    proxy = _proxy(chosen.cluster.get("proxy-url"), where) or proxy_of_environment(server)
    if (user.client_cert or user.client_cert_data) and not (
        user.client_key or user.client_key_data
    ):
        raise UsageError(
            f"{where}: the user has a client-certificate, but no client-key",
            hint="client-key, or client-key-data, is its other half",
        )
    try:
        verify = verify_cluster(cluster, user, config.abs_file)
    except (ConfigError, OSError, ssl.SSLError, ValueError) as error:
        raise InfrastructureError(f"{where}: the certificates cannot be used: {error}") from error
    transport = httpx2.AsyncHTTPTransport(
        verify=verify,
        limits=httpx2.Limits(max_connections=2000, max_keepalive_connections=50),
        socket_options=_KEEPALIVE,
        proxy=proxy,
    )
    http = httpx2.AsyncClient(
        base_url=server,
        auth=_auth(user, chosen),
        transport=transport,
        timeout=httpx2.Timeout(30, pool=None),
        headers={"User-Agent": "dag"},
    )
    # A password in the URL is sent, but never shown.
    shown = str(server.copy_with(userinfo=b"")) if server.userinfo else cluster.server
    return Cluster(shown, config.namespace, http)


def _choose(kubeconfig: str | None, context: str | None) -> _Chosen:
    paths = _paths(kubeconfig)
    if not paths:
        if "KUBERNETES_SERVICE_HOST" in os.environ and (_SERVICE_ACCOUNT / "token").exists():
            try:
                config = KubeConfig.from_service_account(str(_SERVICE_ACCOUNT)).get()
            except (ConfigError, KeyError, OSError, ValueError) as error:
                raise InfrastructureError(
                    f"{_SERVICE_ACCOUNT}: the pod's service account cannot be used: {error}"
                ) from error
            assert config is not None  # noqa: S101  # from_service_account always sets a context
            return _Chosen(config, str(_SERVICE_ACCOUNT), {}, {})
        raise InfrastructureError(
            "no cluster is configured: there is no ~/.kube/config and no $KUBECONFIG",
            hint="give --kubeconfig FILE, or see `dag build` for building on this machine",
        )
    merged = _merge(paths)
    name = str(context or merged["current-context"] or "")
    files = ", ".join(map(str, paths))
    if not name:
        raise UsageError(f"{files}: no current-context is set", hint="choose one with --context")
    names = [str(item["name"]) for item in merged["contexts"]]
    if name not in names:
        raise UsageError(
            f"{files}: there is no context {name!r}",
            hint=f"known are {', '.join(names) or 'none'}",
        )
    where = f"{files}: context {name!r}"
    found = _entry(merged, "contexts", name, where)
    cluster = _entry(merged, "clusters", found.get("cluster"), where)
    user = _entry(merged, "users", found["user"], where) if found.get("user") else None
    for setting, table in (("tls-server-name", cluster), ("as", user), ("auth-provider", user)):
        if setting in (table or ()):
            raise InfrastructureError(f"{where} uses {setting!r}, which dag does not follow")
    # Only what was chosen: mistakes elsewhere are those of other contexts.
    entries: dict[str, Any] = {
        "contexts": [{"name": name, "context": found}],
        "clusters": [{"name": found["cluster"], "cluster": cluster}],
        "users": [] if user is None else [{"name": found["user"], "user": user}],
    }
    try:
        config = KubeConfig.from_dict(entries).get(name)
    except ValueError as error:
        raise UsageError(f"{where} has mistakes: {error}") from error
    assert config is not None  # noqa: S101  # a name was given
    return _Chosen(config, where, cluster, user or {})


def _entry(merged: dict[str, Any], kind: str, name: object, where: str) -> dict[str, Any]:
    for item in merged[kind]:
        if name and str(item["name"]) == str(name):
            entry: dict[str, Any] = item[kind.removesuffix("s")]
            if not isinstance(entry, dict):
                raise UsageError(
                    f"{where}: {name!r} of {kind} is no mapping",
                    hint="kubectl config view shows how an entry looks",
                )
            return entry
    raise UsageError(
        f"{where} is not complete: there is no {name!r} in {kind}"
        if name
        else f"{where} is not complete: it names no {kind.removesuffix('s')}"
    )


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


def _auth(user: User, chosen: _Chosen) -> httpx2.Auth | None:
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


def _plugin(given: UserExec, chosen: _Chosen) -> Plugin:
    """Tell how to run a credential plugin.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins

    Raises:
        InfrastructureError: it speaks a protocol that is not known here.

    """
    group, _, number = given.apiVersion.partition("/")
    # The versions differ in nothing that is used here.
    if group != _EXEC_GROUP or number not in ("v1", "v1beta1", "v1alpha1"):
        raise InfrastructureError(
            f"{chosen.where}: its credential plugin speaks {given.apiVersion},"
            f" which dag does not follow: {_EXEC_GROUP}/v1 is known"
        )
    spec: dict[str, Any] = {"interactive": False}
    if chosen.user["exec"].get("provideClusterInfo") is True:
        spec["cluster"] = _cluster_info(chosen)
    info = {"apiVersion": given.apiVersion, "kind": "ExecCredential", "spec": spec}
    env = {item.name: item.value for item in given.env or ()}
    return Plugin(
        [given.command, *(given.args or ())],
        {**env, "KUBERNETES_EXEC_INFO": json.dumps(info)},
        f"{chosen.where}: the credential plugin {given.command}",
        given.installHint,
    )


def _cluster_info(chosen: _Chosen) -> dict[str, Any]:
    # https://kubernetes.io/docs/reference/config-api/client-authentication.v1/#client-authentication-k8s-io-v1-Cluster
    cluster = chosen.cluster
    names = ("server", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    info = {name: cluster[name] for name in names if name in cluster}
    if path := cluster.get("certificate-authority"):  # which wins, as in `verify_cluster`
        info["certificate-authority-data"] = b64encode(Path(path).read_bytes()).decode()
    for extension in cluster.get("extensions") or ():
        if isinstance(extension, dict) and extension.get("name") == f"{_EXEC_GROUP}/exec":
            info["config"] = extension.get("extension")
    return info


def _paths(kubeconfig: str | None) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig)]
    if listed := os.environ.get("KUBECONFIG"):
        # Files of the list that do not exist are passed over, as kubectl does.
        return [path for item in listed.split(os.pathsep) if item and (path := Path(item)).exists()]
    home = Path("~/.kube/config").expanduser()
    return [home] if home.exists() else []


def _merge(paths: list[Path]) -> dict[str, Any]:
    merged: dict[str, Any] = {"current-context": "", "clusters": [], "contexts": [], "users": []}
    for path in paths:
        try:
            loaded = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UsageError(
                f"{path}: no kubeconfig can be read there: {_reason(error)}", hint=_ANOTHER
            ) from None
        if not isinstance(loaded, dict):
            raise UsageError(f"{path}: this is no kubeconfig", hint=_ANOTHER)
        merged["current-context"] = merged["current-context"] or loaded.get("current-context")
        for kind, key in (("clusters", "cluster"), ("contexts", "context"), ("users", "user")):
            known = [item["name"] for item in merged[kind]]
            entries = loaded.get(kind) or []
            if not isinstance(entries, list):
                raise UsageError(f"{path}: {kind} is no list", hint=_ANOTHER)
            for item in entries:
                if not isinstance(item, dict) or "name" not in item:
                    raise UsageError(f"{path}: an entry of {kind} has no name")
                if item["name"] not in known:
                    merged[kind].append({**item, key: _absolute(item.get(key) or {}, path)})
    return merged


def _reason(error: Exception) -> str:
    # PyYAML quotes the line that it stumbles over, which may be the one with the token.
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is no YAML in UTF-8"


def _absolute(entry: object, path: Path) -> object:
    # Each file's relative paths are relative to that file.
    if not isinstance(entry, dict):
        return entry  # whoever uses it says so
    directory = path.parent.absolute()
    absolute = {
        key: str(directory / value) if key in _FILES and value and isinstance(value, str) else value
        for key, value in entry.items()
    }
    # So is a plugin's, unless it is a bare name, which is looked for in $PATH.
    plugin = entry.get("exec")
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command")):
        absolute["exec"] = {**plugin, "command": str(directory / str(plugin["command"]))}
    return absolute
