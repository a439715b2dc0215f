"""The permissions that `dag pod` needs at the API server, and the Role that gives them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Permission:
    """One verb on one kind of object, or on a part of it."""

    verb: str
    resource: str
    subresource: str = ""
    group: str = ""

    @property
    def what(self) -> str:
        """The resource as Roles write it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def __str__(self) -> str:
        return f"{self.verb} {self.what}"


def permissions_for_pod(*, follow: bool, out: bool) -> list[Permission]:
    """Return what is needed to create a Pod, to follow it, and to fetch from it."""
    needed = [Permission("create", "pods")]
    if follow:
        needed += [Permission(verb, "pods") for verb in ("get", "list", "watch", "delete")]
        needed.append(Permission("get", "pods", "log"))
    if out:
        needed.append(Permission("get", "pods", "proxy"))
    return needed


EXPLAIN = tuple(Permission(verb, "events") for verb in ("list", "watch"))
"""Not needed, but without it nobody is told why a Pod waits."""
IDENTITY = (Permission("get", "serviceaccounts"),)
"""Not needed, but without it nobody knows which role of a cloud a service account stands for."""
SECRET_KEY = (Permission("get", "secretproviderclasses", group="secrets-store.csi.x-k8s.io"),)


def role_rules(permissions: Iterable[Permission]) -> list[dict[str, list[str]]]:
    """Return the rules of a Role: one for each resource, with its verbs in the order given."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in permissions:
        verbs = found.setdefault((one.group, one.what), [])
        if one.verb not in verbs:
            verbs.append(one.verb)
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": verbs}
        for (group, resource), verbs in found.items()
    ]


def grant_commands(permissions: Sequence[Permission], namespace: str, user: str | None) -> str:
    """Return the commands that give `user` all of `permissions`, for somebody who has them.

    The Role may exist and is then replaced, so it has to be told everything that is needed.
    """
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "dag", "namespace": namespace},
        "rules": role_rules(permissions),
    }
    # `kubectl create role` would give each verb for each resource.
    manifest = shlex.quote(msgspec.json.encode(role).decode())
    name = user or "USER"
    account = name.removeprefix(_SERVICE_ACCOUNT)
    subject = f"--user={name}" if account == name else f"--serviceaccount={account}"
    return (
        f"echo {manifest} | kubectl apply -f -"
        f" && kubectl create rolebinding {shlex.quote(f'dag-{name}'.replace('/', '-'))}"
        f" -n {namespace} --role=dag {shlex.quote(subject)}"
    )
