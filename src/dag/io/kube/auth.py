"""Says to an API server who we are: by a token, a file with one, or a program that prints one.

Every failure is a sentence, and no sentence contains a credential.
https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from dag.core.limits import CREDENTIALS, TooLarge
from dag.errors import InfrastructureError
from dag.io.files import read_named

_KUBECTL = "try the same context with kubectl"


class CredentialError(InfrastructureError):
    """There is no credential to send, or none that could be sent; the text never shows it."""


class Token(httpx2.Auth):
    """A token that never changes; `source` is what to call it in an error."""

    def __init__(self, token: str, source: str) -> None:
        """Take the token as it stands in a file.

        Raises:
            CredentialError: it cannot be a token.

        """
        self._bearer = _bearer(token, source)

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send the token."""
        request.headers["Authorization"] = self._bearer
        yield request


class TokenFile(httpx2.Auth):
    """A token in a file, which is read again when it is refused: whoever wrote it may renew it."""

    def __init__(self, path: Path, source: str) -> None:
        self._path, self._source = path, source
        self._last: str | None = None

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send the token of the file.

        Raises:
            CredentialError: no token can be read there.

        """
        if self._last is not None:
            request.headers["Authorization"] = self._last
            response = yield request
            if response.status_code != 401:
                return
        request.headers["Authorization"] = self._last = self._read()
        yield request

    def _read(self) -> str:
        source = f"{self._source} ({self._path})"
        try:
            return _bearer(read_named(self._path, CREDENTIALS).decode(), source)
        except OSError as error:
            raise CredentialError(
                f"{source} cannot be read: {error.strerror}", hint=_KUBECTL
            ) from error
        except TooLarge as error:
            raise CredentialError(f"{source}: {error.message}", hint=_KUBECTL) from None
        except UnicodeDecodeError:
            # Its text would quote the file.
            raise CredentialError(f"{source} is no text", hint=_KUBECTL) from None


@dataclass(frozen=True, slots=True)
class Plugin:
    """A program that prints an ExecCredential; `source` is what to call it in an error."""

    argv: Sequence[str]
    env: Mapping[str, str]
    source: str
    install_hint: str | None = None


class PluginAuth(httpx2.Auth):
    """A token that a program gives, which is asked again when the token is refused."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._last: str | None = None

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send the token of the program.

        Raises:
            CredentialError: it fails, or prints no token.

        """
        if self._last is not None:
            request.headers["Authorization"] = self._last
            response = yield request
            if response.status_code != 401:
                return
        request.headers["Authorization"] = self._last = await self._ask()
        yield request

    async def _ask(self) -> str:
        plugin, source = self._plugin, self._plugin.source
        try:
            process = await asyncio.create_subprocess_exec(
                *plugin.argv, env={**os.environ, **plugin.env}, stdout=PIPE, stderr=PIPE
            )
        except (OSError, ValueError) as error:  # a NUL in an argument is a ValueError
            why = (error.strerror if isinstance(error, OSError) else None) or error
            hint = plugin.install_hint or _KUBECTL
            raise CredentialError(f"{source} cannot be run: {why}", hint=hint) from error
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            if process.returncode is None:
                process.kill()
            raise
        if process.returncode != 0:
            words = " ".join(err.decode(errors="replace").split())[-500:]
            what = f"{source} ended with {process.returncode}"
            raise CredentialError(f"{what}: {words}" if words else what, hint=_KUBECTL)
        return _bearer(_token(out, source), f"the token of {source}")


def _token(printed: bytes, source: str) -> str:
    # What was printed may hold a token in spite of all: it is never shown.
    try:
        answer = json.loads(printed)
    except ValueError:
        raise CredentialError(f"{source} printed no JSON", hint=_KUBECTL) from None
    status = answer.get("status") if isinstance(answer, dict) else None
    token = status.get("token") if isinstance(status, dict) else None
    if isinstance(token, str) and token:
        return token
    if isinstance(status, dict) and "clientCertificateData" in status:
        raise CredentialError(
            f"{source} gave a client certificate, which dag does not follow",
            hint="a user with a token or a certificate in the kubeconfig will do",
        )
    raise CredentialError(f"{source} printed no ExecCredential with a token", hint=_KUBECTL)


def _bearer(token: str, source: str) -> str:
    # A block of YAML, a file and `echo` all end with a line break that is not part of the token.
    token = token.strip()
    if not token:
        raise CredentialError(f"{source} is empty", hint=_KUBECTL)
    if not (token.isascii() and token.isprintable()):
        raise CredentialError(
            f"{source} has a line break or another character in it that no token has",
            hint="it is one line of plain letters, digits and punctuation: write it anew",
        )
    return f"Bearer {token}"
