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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml
from lightkube import ConfigError, KubeConfig, SingleConfig
from lightkube.config.client_adapter import user_auth, verify_cluster
from lightkube.config.models import NameValue

from dag.errors import InfrastructureError, UsageError

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
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One API server and a client that is allowed to speak to it."""

    server: str
    namespace: str
    """The context's own namespace, `default` if it names none."""
    http: httpx2.AsyncClient


def connect(kubeconfig: str | None = None, context: str | None = None) -> Cluster:
    """Make a client for the cluster that the flags, `$KUBECONFIG` or the pod's own account name.

    Nothing is sent yet, and no credential plugin is run.

    Raises:
        UsageError: a kubeconfig cannot be read, or has no such context.
        InfrastructureError: there is no configuration, or one that cannot be followed.

    """
    config, raw_cluster = _config(kubeconfig, context)
    _rewrite_exec(config)
    user, cluster = config.user, config.cluster
    if user is None:
        raise InfrastructureError(f"context {config.context_name!r} names no user")
    try:
        verify = verify_cluster(cluster, user, config.abs_file)
        auth = user_auth(user)
    except (ConfigError, OSError, ssl.SSLError, ValueError) as error:
        raise InfrastructureError(
            f"the credentials of context {config.context_name!r} cannot be used: {error}"
        ) from error
    transport = httpx2.AsyncHTTPTransport(
        verify=verify,
        limits=httpx2.Limits(max_connections=2000, max_keepalive_connections=50),
        socket_options=_KEEPALIVE,
        proxy=raw_cluster.get("proxy-url"),
    )
    http = httpx2.AsyncClient(
        base_url=cluster.server,
        auth=auth,
        transport=transport,
        timeout=httpx2.Timeout(30, pool=None),
        headers={"User-Agent": "dag"},
    )
    return Cluster(cluster.server, config.namespace, http)


def _config(kubeconfig: str | None, context: str | None) -> tuple[SingleConfig, dict[str, Any]]:
    paths = _paths(kubeconfig)
    if not paths:
        if "KUBERNETES_SERVICE_HOST" in os.environ and (_SERVICE_ACCOUNT / "token").exists():
            config = KubeConfig.from_service_account(str(_SERVICE_ACCOUNT)).get()
            assert config is not None  # noqa: S101  # from_service_account always sets a context
            return config, {}
        raise InfrastructureError(
            "no cluster is configured: there is no ~/.kube/config and no $KUBECONFIG",
            hint="give --kubeconfig FILE, or see `dag build` for building on this machine",
        )
    merged = _merge(paths)
    name = context or merged["current-context"]
    files = ", ".join(map(str, paths))
    if not name:
        raise UsageError(f"{files}: no current-context is set", hint="choose one with --context")
    names = [item["name"] for item in merged["contexts"]]
    if name not in names:
        raise UsageError(
            f"{files}: there is no context {name!r}",
            hint=f"known are {', '.join(names) or 'none'}",
        )
    try:
        config = KubeConfig.from_dict(merged).get(name)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{files}: context {name!r} is not complete: {error}") from error
    assert config is not None  # noqa: S101  # a name was given
    raw = next(c["cluster"] for c in merged["clusters"] if c["name"] == config.context.cluster)
    user: dict[str, Any] = next(
        (u["user"] for u in merged["users"] if u["name"] == config.context.user), {}
    )
    for setting, table in (("tls-server-name", raw), ("as", user), ("auth-provider", user)):
        if setting in table:
            raise InfrastructureError(
                f"{files}: context {name!r} uses {setting!r}, which dag does not follow"
            )
    return config, raw


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
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(
                f"{path}: no kubeconfig can be read there: {error}", hint=_ANOTHER
            ) from error
        if not isinstance(loaded, dict):
            raise UsageError(f"{path}: this is no kubeconfig", hint=_ANOTHER)
        merged["current-context"] = merged["current-context"] or loaded.get("current-context")
        for kind, key in (("clusters", "cluster"), ("contexts", "context"), ("users", "user")):
            known = {item["name"] for item in merged[kind]}
            for item in loaded.get(kind) or ():
                if not isinstance(item, dict) or "name" not in item:
                    raise UsageError(f"{path}: an entry of {kind} has no name")
                if item["name"] not in known:
                    merged[kind].append({**item, key: _absolute(item.get(key) or {}, path)})
    return merged


def _absolute(entry: dict[str, Any], path: Path) -> dict[str, Any]:
    # Each file's relative paths are relative to that file.
    return {
        key: str(path.parent.absolute() / value) if key in _FILES and value else value
        for key, value in entry.items()
    }


def _rewrite_exec(config: SingleConfig) -> None:
    # The protocol's versions differ in nothing that is used here, but lightkube knows only the
    # older ones. https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
    if config.user is None or config.user.exec is None:
        return
    plugin = config.user.exec
    info = {
        "apiVersion": plugin.apiVersion,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    plugin.env = [*(plugin.env or []), NameValue("KUBERNETES_EXEC_INFO", json.dumps(info))]
    if plugin.apiVersion == "client.authentication.k8s.io/v1":
        plugin.apiVersion = "client.authentication.k8s.io/v1beta1"
