"""What `dag pod` must be allowed to do: asked for before it begins, granted by `dag setup`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """One verb on one kind of object in the namespace; `resource` may be `pods/log`."""

    verb: str
    resource: str
    group: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


CREATE = (Access("create", "pods"),)
FOLLOW = (
    *(Access(verb, "pods") for verb in ("get", "list", "watch", "delete")),
    Access("get", "pods/log"),
)
OUT = (Access("get", "pods/proxy"),)
EXPLAIN = tuple(Access(verb, "events") for verb in ("list", "watch"))
"""Not needed, but without it nobody is told why a Pod waits."""
SECRET_KEY = (Access("get", "secretproviderclasses", "secrets-store.csi.x-k8s.io"),)


def rules(accesses: Iterable[Access]) -> list[dict[str, list[str]]]:
    """Write them as the rules of a Role: one for each resource, verbs in the order given."""
    found: dict[tuple[str, str], list[str]] = {}
    for access in accesses:
        verbs = found.setdefault((access.group, access.resource), [])
        if access.verb not in verbs:
            verbs.append(access.verb)
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": verbs}
        for (group, resource), verbs in found.items()
    ]
