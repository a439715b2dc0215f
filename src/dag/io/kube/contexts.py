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

from dag.core.kinds import NAME
from dag.core.limits import CREDENTIALS, KUBECONFIG, TooLarge
from dag.errors import InfrastructureError, UsageError
from dag.io.connections import is_in_pod
from dag.io.files import read_named, read_text

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT = "default"
_ANOTHER = "name another one with --kubeconfig or $KUBECONFIG"
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
# What would be silently left out, and with it what somebody wanted.
_NOT_FOLLOWED = {
    # https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
    "auth-provider": "use a credential plugin (`exec`), such as gke-gcloud-auth-plugin or kubelogin",
}
"""Settings of users that are not followed, and what to do in their place."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Decodes one entry; fields that it does not have are of no use here."""


class ContextEntry(_Entry, frozen=True, kw_only=True):
    """Decodes an entry of `contexts`."""

    cluster: str
    user: str | None = None


class ClusterEntry(_Entry, frozen=True, kw_only=True):
    """Decodes an entry of `clusters`."""

    server: str = "http://localhost:8080"
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool | None = None
    tls_server_name: str | None = None


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
    impersonated: str | None = msgspec.field(name="as", default=None)
    as_groups: tuple[str, ...] | None = None
    as_uid: str | None = None
    as_user_extra: dict[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class ChosenContext:
    """One context with its cluster and its user."""

    where: str
    """What to call it in an error: its files and its name."""
    cluster: ClusterEntry
    user: UserEntry | None
    written: Mapping[str, Any] = field(default_factory=dict)
    """The cluster's entry as it is written, with what is not decoded."""
    name: str | None = None
    """The context's name; a pod's own account has none."""


@dataclass(frozen=True, slots=True)
class FoundNamespace:
    """The namespace that counts where nobody names one."""

    name: str
    reason: str
    """Why it is this one, in words that go behind its name."""
    is_guess: bool = False
    """Whether there is no kubeconfig although somebody named one, or asked for a context of it."""


def choose_context(kubeconfig: str | None, context: str | None) -> ChosenContext:
    """Return the context that the flags, `$KUBECONFIG` or the Pod's own account name.

    Raises:
        UsageError: a kubeconfig cannot be read, or has no such context, or one with mistakes.
        InfrastructureError: there is no configuration, or one that cannot be followed.

    """
    paths = _paths(kubeconfig)
    if paths:
        return _context_of_files(paths, context)
    if _has_account():
        return _context_of_service_account(_SERVICE_ACCOUNT)
    if os.environ.get("KUBECONFIG"):
        raise UsageError(_absence(kubeconfig), hint=_ANOTHER)
    raise InfrastructureError(
        f"no cluster is configured: {_absence(kubeconfig)}",
        hint="give --kubeconfig FILE, or see `dag build` for building on this machine",
    )


def find_namespace(kubeconfig: str | None, context: str | None) -> FoundNamespace:
    """Return the context's own namespace as kubectl finds it, or `default`; no cluster is asked.

    It is no error if there is no kubeconfig.
    https://kubernetes.io/docs/reference/kubectl/#in-cluster-authentication-and-namespace-overrides

    Raises:
        UsageError: a kubeconfig cannot be read, has no such context, or its namespace is no name.

    """
    paths = [path for path in _paths(kubeconfig) if path.exists()]
    if paths:
        merged = _merge_files(paths)
        files = ", ".join(map(str, paths))
        if not _name_of(merged, context):
            return FoundNamespace(_DEFAULT, f"because {files} has no current-context")
        where, found = _find_context(merged, files, context)
        if name := _namespace_of(found, where):
            return FoundNamespace(name, f"which is that of {where}")
        return FoundNamespace(_DEFAULT, f"because {where} names none")
    if _has_account() and not kubeconfig:
        name = os.environ.get("POD_NAMESPACE") or _namespace_of_service_account()
        return FoundNamespace(name, "which is that of this pod")
    is_guess = bool(kubeconfig or context or os.environ.get("KUBECONFIG"))
    return FoundNamespace(_DEFAULT, f"because {_absence(kubeconfig)}", is_guess)


def _has_account() -> bool:
    return is_in_pod() and (_SERVICE_ACCOUNT / "token").exists()


def _absence(kubeconfig: str | None) -> str:
    """Return in words that there is no kubeconfig."""
    if kubeconfig:
        return f"{kubeconfig} does not exist"
    listed = [item for item in os.environ.get("KUBECONFIG", "").split(os.pathsep) if item]
    if not listed:
        return "there is no ~/.kube/config, and $KUBECONFIG is not set"
    if len(listed) == 1:
        return f"{listed[0]}, which $KUBECONFIG names, does not exist"
    return f"none of the files that $KUBECONFIG names exists: {', '.join(listed)}"


def _namespace_of_service_account() -> str:
    try:
        return read_text(_SERVICE_ACCOUNT / "namespace", CREDENTIALS).strip() or _DEFAULT
    except (OSError, ValueError):
        return _DEFAULT


def _context_of_service_account(directory: Path) -> ChosenContext:
    # https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    try:
        port = os.environ["KUBERNETES_SERVICE_PORT"]
    except KeyError as error:
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
    )


def _name_of(merged: dict[str, Any], context: str | None) -> str:
    return str(context or merged["current-context"] or "")


def _find_context(
    merged: dict[str, Any], files: str, context: str | None
) -> tuple[str, dict[str, Any]]:
    """Return what to call the context in an error, and its entry."""
    name = _name_of(merged, context)
    if not name:
        raise UsageError(f"{files}: no current-context is set", hint="choose one with --context")
    names = [str(item["name"]) for item in merged["contexts"]]
    if name not in names:
        raise UsageError(
            f"{files}: there is no context {name!r}",
            hint=f"known are {', '.join(names) or 'none'}",
        )
    where = f"{files}: context {name!r}"
    return where, _entry(merged, "contexts", name, where)


def _namespace_of(found: dict[str, Any], where: str) -> str | None:
    """Return the namespace of a context's entry."""
    name = found.get("namespace")
    if not name:
        return None
    hint = "--namespace names another one"
    if not isinstance(name, str):
        raise UsageError(f"{where} has the namespace {name!r}, which is no text", hint=hint)
    try:
        return NAME.parse(name)
    except UsageError as error:
        raise UsageError(f"{where}: its namespace {error.message}", hint=hint) from None


def _context_of_files(paths: list[Path], context: str | None) -> ChosenContext:
    merged = _merge_files(paths)
    where, found = _find_context(merged, ", ".join(map(str, paths)), context)
    cluster = _entry(merged, "clusters", found.get("cluster"), where)
    user = _entry(merged, "users", found["user"], where) if found.get("user") else None
    for setting, instead in _NOT_FOLLOWED.items():
        if setting in (user or ()):
            raise InfrastructureError(
                f"{where} uses {setting!r}, which dag does not follow",
                hint=f"{instead}, or name another context with --context",
            )
    try:
        msgspec.convert(found, ContextEntry)
        return ChosenContext(
            where,
            msgspec.convert(cluster, ClusterEntry),
            None if user is None else msgspec.convert(user, UserEntry),
            cluster,
            _name_of(merged, context),
        )
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{where} has mistakes: {error}",
            hint="correct it there; `kubectl config view` shows it",
        ) from error


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
        else f"{where} is not complete: it names no {kind.removesuffix('s')}",
        hint="add it there, or choose another context with --context",
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
            loaded = yaml.safe_load(read_named(path, KUBECONFIG).decode()) or {}
        except TooLarge:
            raise
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
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
                    raise UsageError(
                        f"{path}: an entry of {kind} has no name", hint="give it one, or remove it"
                    )
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
