"""Takes image references apart, as people write them, by the rules of the container tools.

The grammar, the default host and the `library/` prefix:
https://github.com/distribution/reference/blob/main/reference.go and normalize.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from dag.core.image.descriptors import is_digest
from dag.errors import UsageError

DEFAULT_HOST = "docker.io"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_FOUR_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_LONGEST_NAME = 255
_LONGEST_LABEL = 63
"""https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4"""


@dataclass(frozen=True, slots=True)
class Reference:
    """A complete `host/repository[:tag][@digest]`: host and `library/` are never left out."""

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Return host and repository, without tag and digest."""
        return f"{self.host}/{self.repository}"

    @property
    def version(self) -> str:
        """Return what a registry is asked for: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def with_digest(self, digest: str) -> Reference:
        """Return a reference to the same repository, by digest alone."""
        return replace(self, tag=None, digest=digest)

    def with_tag(self, tag: str) -> Reference:
        """Return a reference to the same repository, by tag alone."""
        return replace(self, tag=tag, digest=None)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"


def parse_reference(text: str) -> Reference:
    """Take a reference apart: `busybox`, `localhost:5000/a/b:tag`, `ghcr.io/o/n@sha256:…`.

    Raises:
        UsageError: it is no image reference.

    """
    if "://" in text:
        raise _url_error(text)
    rest, at, digest = text.partition("@")
    if "/" in digest:
        raise UsageError(
            "the name of an image has neither a user nor a password in it, and no @ before its host",
            hint=f"docker login {digest.rpartition('@')[2].partition('/')[0]}",
        )
    if at and not is_digest(digest):
        raise _reference_error(
            text, f"{digest!r} is no digest", "a digest is sha256: and 64 hex digits"
        )
    first, slash, remainder = rest.partition("/")
    # Only a first part that cannot be a repository's name is a host: `a.b/c`, `a:5000/c`,
    # `localhost/c`, `HOST/c`, but not `a/c`.
    is_host = slash and (
        any(mark in first for mark in ".:[") or first == "localhost" or first != first.lower()
    )
    host, path = (first, remainder) if is_host else (DEFAULT_HOST, rest)
    if host == "index.docker.io":
        host = DEFAULT_HOST
    repository, colon, tag = path.partition(":")
    if host == DEFAULT_HOST and "/" not in repository:
        repository = f"library/{repository}"
    if not _is_host(host):
        raise _reference_error(text, f"{host!r} is no host name")
    if not _REPOSITORY.fullmatch(repository) or len(host) + len(repository) >= _LONGEST_NAME:
        hint = "it has lower-case letters and digits, separated by . _ - and /, and no https://"
        raise _reference_error(text, f"{path!r} is no repository name", hint)
    if colon and not _TAG.fullmatch(tag):
        raise _reference_error(text, f"{tag!r} is no tag")
    return Reference(host, repository, tag or None, digest or None)


def parse_repository(text: str) -> Reference:
    """Take the name of a repository apart, of which the program chooses tag and digest.

    Raises:
        UsageError: it is no repository name, or has a tag or a digest.

    """
    reference = parse_reference(text)
    if reference.tag or reference.digest:
        raise _reference_error(
            text, "a repository is meant, without tag and digest", f"write {reference.name}"
        )
    return reference


def _is_host(text: str) -> bool:
    if not _HOST.fullmatch(text):
        return False
    name, port = text, "1"
    if ":" in text.rpartition("]")[2]:
        name, _, port = text.rpartition(":")
    try:
        if name.startswith("["):
            IPv6Address(name[1:-1])
        elif _FOUR_NUMBERS.fullmatch(name):
            IPv4Address(name)
    except ValueError:
        return False
    longest = max(map(len, name.split(".")))
    return 0 < int(port) < 1 << 16 and (longest <= _LONGEST_LABEL or name.startswith("["))


def is_tag(version: str) -> bool:
    """Return whether a registry may be asked for this as a tag; a digest is none."""
    return _TAG.fullmatch(version) is not None


def _url_error(text: str) -> UsageError:
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    name = f"{host.rpartition('@')[2]}{slash}{path}"  # without a password
    return _reference_error(
        f"{scheme}://{name}",
        "it is a URL, and the name of an image has no scheme",
        f"write {name}" if name else None,
    )


def _reference_error(text: str, why: str, hint: str | None = None) -> UsageError:
    return UsageError(f"{text!r} is no image reference: {why}", hint=hint)
