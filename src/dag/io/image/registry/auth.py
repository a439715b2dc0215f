"""Authorizes requests to a registry: answers its challenges, and gets tokens for scopes.

https://distribution.github.io/distribution/spec/auth/token/ and …/auth/oauth/. Secrets go to the
registry's own origin and to the token server that it names, and to nobody else.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from dag.core.image.descriptors import parse_object
from dag.core.image.references import DEFAULT_HOST
from dag.core.web import is_loopback, parse_retry_after
from dag.errors import InfrastructureError
from dag.io.image.registry.answers import parse_url
from dag.io.image.registry.credentials import CredentialLookup, Credentials, look_up
from dag.io.image.registry.refusals import Refused, parse_refusal
from dag.io.web import public_url

if TYPE_CHECKING:
    from collections.abc import Callable

TokenScopes = tuple[str, ...]

# A scheme, or a parameter of the scheme before it: these have a value, which may be empty.
_PART = re.compile(
    r'([A-Za-z][A-Za-z0-9._-]*)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]*)))?', re.DOTALL
)
_TOKEN = re.compile(r"[!-~]+")
_CLIENT = "dag"


def pull_scope(repository: str) -> str:
    """Return the scope that reading needs."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """Return the scope that writing needs."""
    return f"repository:{repository}:pull,push"


def repository_of(scopes: TokenScopes) -> str:
    """Return the repository that a request is about: that of its first scope, empty if it has none."""
    return scopes[0].split(":")[1] if scopes else ""


@dataclass(frozen=True)
class Challenge:
    """A challenge: its scheme and the names of its parameters in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """Read a `WWW-Authenticate` header, which may have several challenges.

    https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
    """
    found: list[Challenge] = []
    for part in _PART.finditer(header):
        name, quoted, plain = part[1].lower(), part[2], part[3]
        value = plain if quoted is None else quoted
        if value is None:
            found.append(Challenge(name, {}))
        elif found:
            found[-1].parameters.setdefault(name, value)
    return found


class Authorizer:
    """A source of Authorization headers for one registry; threads may share it."""

    def __init__(
        self,
        host: str,
        send: Callable[[str, httpx2.URL, dict[str, str], dict[str, str] | None], httpx2.Response],
        *,
        insecure: bool,
    ) -> None:
        """Take a function that sends a request (method, URL, headers, form) and reads the answer."""
        self._host = host
        self._send = send
        self._insecure = insecure
        self._lock = threading.Lock()
        self._headers: dict[TokenScopes, str] = {}
        self._lookups: dict[str, CredentialLookup] = {}
        """The credentials by repository: those of one host may differ."""
        self._secrets: set[str] = set()

    def header(self, scopes: TokenScopes) -> str | None:
        """Return the header for a request that needs `scopes`, if one is known already."""
        with self._lock:
            return self._headers.get(scopes)

    def answer(self, response: httpx2.Response, scopes: TokenScopes) -> str | None:
        """Return a new header after a 401, or None when there is nothing new to try.

        Raises:
            Refused: the token server refused.
            InfrastructureError: a file of credentials is unreadable, or the challenge is unsafe.

        """
        used = response.request.headers.get("authorization")
        with self._lock:
            known = self._headers.get(scopes)
            if known is not None and known != used:
                return known  # another thread was faster
            header = self._new_header(response, scopes)
            if header is None or header == used:
                return None
            self._headers[scopes] = header
            return header

    def describe(self, scopes: TokenScopes) -> str:
        """Return which credentials were used for `scopes`, or which files have none."""
        lookup = self._lookups.get(repository_of(scopes))
        return lookup.describe() if lookup else "no credentials were asked for"

    def redact(self, text: str) -> str:
        """Return a text without the secrets that were used."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _new_header(self, response: httpx2.Response, scopes: TokenScopes) -> str | None:
        challenges = [
            challenge
            for header in response.headers.get_list("www-authenticate")
            for challenge in parse_challenges(header)
        ]
        credentials = self._find_credentials(repository_of(scopes))
        for challenge in challenges:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                return self._get_token(challenge, scopes, credentials)
        if credentials and any(challenge.scheme == "basic" for challenge in challenges):
            return credentials.basic()
        return None

    def _find_credentials(self, repository: str) -> Credentials | None:
        if repository not in self._lookups:
            self._lookups[repository] = found = look_up(self._host, repository)
            if credentials := found.credentials:
                basic = credentials.basic().removeprefix("Basic ")
                secrets = (credentials.secret, credentials.identity_token, basic)
                self._secrets |= {secret for secret in secrets if secret}
        return self._lookups[repository].credentials

    def _get_token(
        self, challenge: Challenge, scopes: TokenScopes, credentials: Credentials | None
    ) -> str:
        try:
            realm = parse_url(challenge.parameters["realm"])
        except ValueError as error:
            raise InfrastructureError(
                f"registry {self._host} names a token server that is none: {error}"
            ) from None
        if realm.scheme != "https" and not (self._insecure or is_loopback(realm.host)):
            raise InfrastructureError(
                f"registry {self._host} names a token server without https: {public_url(realm)}",
                hint="credentials are not sent there",
            )
        # What the registry asks for, and what we know to need: its challenge to a first HEAD names
        # `pull` alone, and one to a mount not always the other repository.
        wanted = _merge([*scopes, *challenge.parameters.get("scope", "").split()])
        response = self._ask(realm, challenge, wanted, credentials)
        if not response.is_success:
            raise Refused(
                f"the token server {realm.host} of registry {self._host} answered"
                f" {response.status_code} {self.redact(parse_refusal(response).text)}".rstrip()
                + f" ({self.describe(scopes)})",
                status=response.status_code,
                hint=f"docker login {self._host}",
                retry_after=parse_retry_after(response.headers.get("retry-after"), time.time()),
            )
        token = _parse_token(response)
        if token is None:
            raise InfrastructureError(
                f"the token server {realm.host} of registry {self._host} gave no token"
            )
        self._secrets.add(token)
        return f"Bearer {token}"

    def _ask(
        self,
        realm: httpx2.URL,
        challenge: Challenge,
        scopes: list[str],
        credentials: Credentials | None,
    ) -> httpx2.Response:
        service = challenge.parameters.get("service")
        about = {"service": service} if service else {}
        if credentials and credentials.identity_token:
            form = {
                **about,
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "client_id": _CLIENT,
                "scope": " ".join(scopes),
            }
            return self._send("POST", realm, {}, form)
        headers = {"Authorization": credentials.basic()} if credentials else {}
        url = realm.copy_merge_params({**about, "client_id": _CLIENT, "scope": scopes})
        return self._send("GET", url, headers, None)


def _parse_token(response: httpx2.Response) -> str | None:
    try:
        answer = parse_object(response.content)
    except ValueError:
        return None
    token = answer.get("token") or answer.get("access_token")
    # What a header cannot have would be shown by the error about that header.
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None


def _merge(scopes: list[str]) -> list[str]:
    """Return each resource once, with every action that is asked for on it."""
    actions: dict[str, set[str]] = {}
    for scope in scopes:
        resource, _, names = scope.rpartition(":")
        actions.setdefault(resource, set()).update(names.split(","))
    return [f"{resource}:{','.join(sorted(names))}" for resource, names in actions.items()]


def api_host(host: str) -> str:
    """Return the host that serves a registry's API; Docker Hub's has another name."""
    return "registry-1.docker.io" if host == DEFAULT_HOST else host
