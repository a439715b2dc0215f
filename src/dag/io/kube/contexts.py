"""Finds out which cluster is meant, and as which user: by kubeconfig files or a service account.

The files are found and merged by kubectl's rules. Only the chosen context is decoded: mistakes
elsewhere are those of other contexts.
https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from dag.errors import InfrastructureError, UsageError

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ANOTHER = "name another one with --kubeconfig or $KUBECONFIG"
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
# What would be silently left out, and with it what somebody wanted.
_NOT_FOLLOWED = {"clusters": ("tls-server-name",), "users": ("as", "auth-provider")}


class _Entry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Decodes one entry; fields that it does not have are of no use here."""


class ContextEntry(_Entry, frozen=True, kw_only=True):
    """Decodes an entry of `contexts`."""

    cluster: str
    user: str | None = None
    namespace: str | None = None


class ClusterEntry(_Entry, frozen=True, kw_only=True):
    """Decodes an entry of `clusters`."""

    server: str = "http://localhost:8080"
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool | None = None


class PluginVariable(msgspec.Struct, frozen=True, kw_only=True):
    """Decodes one of a credential plugin's environment variables."""

    name: str
    value: str


class PluginEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Decodes the credential plugin of a user."""

    api_version: str
    command: str
    env: tuple[PluginVariable, ...] | None = None
    args: tuple[str, ...] | None = None
    install_hint: str | None = None
    provide_cluster_info: bool | None = None


class UserEntry(_Entry, frozen=True, kw_only=True):
    """Decodes an entry of `users`."""

    exec: PluginEntry | None = None
    username: str | None = None
    password: str | None = None
    token: str | None = None
    token_file: str | None = msgspec.field(name="tokenFile", default=None)
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None


@dataclass(frozen=True, slots=True)
class ChosenContext:
    """One context with its cluster and its user."""

    where: str
    """What to call it in an error: its files and its name."""
    cluster: ClusterEntry
    user: UserEntry | None
    namespace: str
    """The context's own namespace, `default` if it names none."""
    written: Mapping[str, Any] = field(default_factory=dict)
    """The cluster's entry as it is written, with what is not decoded."""
    name: str | None = None
    """The context's name; a pod's own account has none."""


def choose_context(kubeconfig: str | None, context: str | None) -> ChosenContext:
    """Return the context that the flags, `$KUBECONFIG` or the Pod's own account name.

    Raises:
        UsageError: a kubeconfig cannot be read, or has no such context, or one with mistakes.
        InfrastructureError: there is no configuration, or one that cannot be followed.

    """
    paths = _paths(kubeconfig)
    if paths:
        return _context_of_files(paths, context)
    if "KUBERNETES_SERVICE_HOST" in os.environ and (_SERVICE_ACCOUNT / "token").exists():
        return _context_of_service_account(_SERVICE_ACCOUNT)
    raise InfrastructureError(
        "no cluster is configured: there is no ~/.kube/config and no $KUBECONFIG",
        hint="give --kubeconfig FILE, or see `dag build` for building on this machine",
    )


def _context_of_service_account(directory: Path) -> ChosenContext:
    # https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    try:
        port = os.environ["KUBERNETES_SERVICE_PORT"]
        namespace = (directory / "namespace").read_text(encoding="utf-8").strip()
    except (KeyError, OSError, ValueError) as error:
        raise InfrastructureError(
            f"{directory}: the pod's service account cannot be used: {error}"
        ) from error
    address = f"[{host}]" if ":" in host else host
    return ChosenContext(
        str(directory),
        ClusterEntry(
            server=f"https://{address}:{port}",
            certificate_authority=str(directory / "ca.crt"),
        ),
        UserEntry(token_file=str(directory / "token")),
        namespace or "default",
    )


def _context_of_files(paths: list[Path], context: str | None) -> ChosenContext:
    merged = _merge_files(paths)
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
    for kind, table in (("clusters", cluster), ("users", user)):
        for setting in _NOT_FOLLOWED[kind]:
            if setting in (table or ()):
                raise InfrastructureError(f"{where} uses {setting!r}, which dag does not follow")
    try:
        decoded = msgspec.convert(found, ContextEntry)
        return ChosenContext(
            where,
            msgspec.convert(cluster, ClusterEntry),
            None if user is None else msgspec.convert(user, UserEntry),
            decoded.namespace or "default",
            cluster,
            name,
        )
    except msgspec.ValidationError as error:
        raise UsageError(f"{where} has mistakes: {error}") from error


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


def _paths(kubeconfig: str | None) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig)]
    if listed := os.environ.get("KUBECONFIG"):
        # Files of the list that do not exist are passed over, as kubectl does.
        return [path for item in listed.split(os.pathsep) if item and (path := Path(item)).exists()]
    home = Path("~/.kube/config").expanduser()
    return [home] if home.exists() else []


def _merge_files(paths: list[Path]) -> dict[str, Any]:
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
                    merged[kind].append({**item, key: _with_absolute_paths(item.get(key), path)})
    return merged


def _reason(error: Exception) -> str:
    # PyYAML quotes the line that it stumbles over, which may be the one with the token.
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is no YAML in UTF-8"


def _with_absolute_paths(entry: object, path: Path) -> object:
    # Each file's relative paths are relative to that file.
    if not isinstance(entry, dict):
        return entry or {}  # whoever uses it says what is wrong with it
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
