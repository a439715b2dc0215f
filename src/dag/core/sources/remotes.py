"""The URIs of git repositories: which are fetched, and where the cache keeps what comes from them.

Definitions are untrusted, and so are the submodules that a repository names: a URI becomes a path
of the cache, and words of git's and ssh's command lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dag.core.web import check_uri
from dag.errors import UsageError

PUBLIC_SCHEMES = ("http", "https", "git")
"""The protocols of git that need no login. What `git:` brings is verified as all else is."""
WITH_LOGIN = (*PUBLIC_SCHEMES, "ssh")
"""Those that are spoken where the user's credentials may be used."""

_COMPONENT = re.compile(r"[A-Za-z0-9_~+@][A-Za-z0-9_~+@.-]*")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# https://git-scm.com/docs/git-clone#_git_urls
_LIKE_SCP = re.compile(r"(?P<host>(?:[^@:/]*@)?[^@:/]+):(?P<path>(?!//).*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository somewhere else, and its place in the cache."""

    path: str
    """`HOST/ORG/REPO`, checked: safe below the cache's `git` directory. With http, https, git or
    ssh, it is one repository."""
    base: str
    """The URI as git compares it."""
    protocol: str

    def require(self, *, credentials: bool) -> None:
        """Refuse a server that only talks to those whom it knows, unless `credentials` may be used.

        Raises:
            UsageError: it needs them.

        """
        if self.protocol not in PUBLIC_SCHEMES and not credentials:
            raise UsageError(
                f"{self.protocol} needs a login: give --credentials to use your own for it"
            )


def locate(uri: str) -> Remote:
    """Take apart the URI of a repository.

    Raises:
        UsageError: it cannot be kept: another protocol, with a password, or another kind of path.

    """
    match = _LIKE_SCP.fullmatch(uri)
    protocol = "ssh" if match else uri.partition(":")[0]
    if match:
        netloc, path = match["host"], match["path"]
        before, separator = f"{netloc}:", "/" if path.startswith("/") else ""
        path = f"/{path.removeprefix('/')}"
    else:
        netloc, path = _take_apart(uri)
        before, separator = f"{protocol}://{netloc}", "/"
    user, at, name = netloc.rpartition("@")
    if at and (protocol != "ssh" or not _USER.fullmatch(user)):
        raise UsageError(
            "the uri has a user or password, which would get into the cache; leave them to"
            " ~/.netrc or git's credential helper, and give --credentials"
        )
    plain = path.rstrip("/").removesuffix(".git")
    # Servers and file systems take `a//b` for `a/b`; git compares the URI as it is written.
    host, components = name.lower(), [one for one in plain.split("/") if one]
    if host.startswith("["):
        raise UsageError(
            f"{host[:80]!r} cannot be part of a path in the cache: the server needs a name"
        )
    if not _HOST.fullmatch(host) or ".." in host:
        raise UsageError(f"{host!r} is no host name")
    if not components or plain.endswith("/"):
        raise UsageError("the uri names no repository")
    for component in components:
        # A directory that ends in .git is a repository, and nothing else is kept in it.
        if not _COMPONENT.fullmatch(component) or component.endswith(".git"):
            shown = component.rpartition("@")[2]  # before it may be a password
            raise UsageError(f"{shown!r} cannot be part of a path in the cache")
    base = f"{before}{separator}{plain.removeprefix('/')}"
    written = uri if uri.rstrip("/").removesuffix(".git") == base else base
    return Remote("/".join([host, *components]), written, protocol)


def submodule_uri(parent: str, uri: str) -> str:
    """Return a submodule's URI; its `url` may be relative to its parent's, as git resolves it.

    https://git-scm.com/docs/gitmodules#Documentation/gitmodules.txt-submoduleltnamegturl
    """
    if not uri.startswith(("./", "../")):
        return uri
    base, separator = parent.rstrip("/"), "/"
    while True:
        if uri.startswith("../"):
            uri = uri[3:]
            before, slash, _ = base.rpartition("/")
            if not slash and ":" in base:  # git@host:repository, where git goes on after the colon
                before, separator = base.rpartition(":")[0], ":"
            base = before
        elif uri.startswith("./"):
            uri = uri[2:]
        else:
            return f"{base}{separator}{uri.rstrip('/')}"


def _take_apart(uri: str) -> tuple[str, str]:
    protocol, _, rest = uri.partition(":")
    if protocol not in WITH_LOGIN and "${{" not in uri:
        if not rest:
            raise UsageError("the uri does not begin with https://, http://, git:// or ssh://")
        raise UsageError(f"only http, https, git and ssh are fetched by git, not {protocol[:40]}:")
    # The rules of hosts, ports and characters are the same for all.
    parts = check_uri(f"https:{rest}")
    if parts.query or parts.fragment:
        raise UsageError("the uri has a query or fragment")
    return parts.netloc, parts.path
