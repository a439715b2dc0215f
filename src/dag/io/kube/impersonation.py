"""Says in whose name a request is made, where a user of a kubeconfig acts for somebody else.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dag.errors import UsageError
from dag.io.kube.contexts import ChosenContext, UserEntry

_NO_KEY_BYTE = re.compile(rb"[^!#$&'*+.^_`|~0-9a-z-]")
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|\A | \Z")
"""What no header can have, and what is no part of a value where it stands."""


def impersonation_of(chosen: ChosenContext) -> list[tuple[bytes, bytes]]:
    """Return the headers that say for whom the context's user acts; none if it acts for itself.

    Raises:
        UsageError: what is said of somebody cannot be sent, or nobody is named.

    """
    found = [] if chosen.user is None else list(_headers(chosen.user))
    if found and not (chosen.user and chosen.user.impersonated):
        raise UsageError(
            f"{chosen.where}: its user has as-groups, as-uid or as-user-extra, but no `as`",
            hint="`as` names for whom the user acts; add it, or remove the others",
        )
    for name, value in found:
        if _UNSENDABLE.search(value):
            raise UsageError(
                f"{chosen.where}: the user's {name} has a character that no header can have there: "
                f"{value[:80]!r}",
                hint="correct it there; `kubectl config view` shows it",
            )
    return [(name.encode(), value.encode()) for name, value in found]


def _headers(user: UserEntry) -> Iterator[tuple[str, str]]:
    if user.impersonated:
        yield "Impersonate-User", user.impersonated
    for group in user.as_groups or ():
        yield "Impersonate-Group", group
    if user.as_uid:
        yield "Impersonate-Uid", user.as_uid
    for key, values in (user.as_user_extra or {}).items():
        for value in values:
            yield f"Impersonate-Extra-{_escape(key)}", value


def _escape(key: str) -> str:
    """Return a key as a header's name may have it, as client-go does."""
    sent = key.lower().encode(errors="surrogatepass")
    return _NO_KEY_BYTE.sub(lambda found: b"%%%02X" % found[0][0], sent).decode()
