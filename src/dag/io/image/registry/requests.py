"""Requests to one registry: authorized, redirected without leaking, tried again where that heals."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import httpx2

from dag.core.sources.downloads import retry_after
from dag.io.image.registry import answers as registry_answers
from dag.io.image.registry.auth import Authorizer, Scopes, api_host
from dag.io.image.registry.refusals import (
    Refused,
    RegistryError,
    Slow,
    denied_hint,
    error_entries,
    is_loopback,
    missing_repository_hint,
    shown,
    unreachable,
)
from dag.io.web import NoCookies, check_proxies, tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Iterable

T = TypeVar("T")

_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt, where the registry does not say how long."""
_FEW_ATTEMPTS = 3
_MOST_REDIRECTS = 5
_TIMEOUT = httpx2.Timeout(60.0, connect=15.0, pool=None)
"""A registry that stores elsewhere answers a PUT only when it has passed everything on, so reading
is given a minute; what hangs longer is tried again."""
_CERTIFICATE_DIRECTORIES = (Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))
"""https://docs.docker.com/engine/security/certificates/"""


@dataclass(frozen=True)
class Body:
    """What a request sends: its size in bytes, and a way to produce it again for each attempt."""

    size: int
    open: Callable[[], Iterable[bytes]]

    @classmethod
    def of(cls, data: bytes) -> Body:
        """A body of bytes that are at hand."""
        return cls(len(data), lambda: (data,))


class RequestGivenUp(RegistryError):
    """Another request failed for good, or somebody pressed Ctrl-C, so this one was given up."""


class RegistryTransport:
    """The way to one registry. Threads may share it. Close it, or use it in a `with`."""

    def __init__(
        self,
        host: str,
        *,
        insecure: bool = False,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """Set up, without a connection.

        `insecure` allows plain http and certificates that nobody signed; this machine's own
        addresses always get plain http. `wait` is for tests: it passes a number of seconds and
        says whether to stop.
        """
        self.host = host
        self.insecure = insecure
        self._stop = threading.Event()
        self._wait = self._stop.wait if wait is None else wait
        self._lock = threading.Lock()
        self._clients: dict[bool, httpx2.Client] = {}
        self._base: httpx2.URL | None = None
        self._auth = Authorizer(host, self._send_plainly, insecure=insecure)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up what still runs, and close every connection."""
        self._stop.set()
        for client in self._clients.values():
            client.close()

    def stop(self) -> None:
        """Make requests in other threads end at their next byte or attempt."""
        self._stop.set()

    def url(self, path: str) -> httpx2.URL:
        """The URL of a path below `/v2/`."""
        return self._root().join(path)

    def retrying(self, operation: Callable[[], T]) -> T:
        """Run an operation until it succeeds, or fails in a way that does not heal.

        Raises:
            RegistryError: the last failure.

        """
        failures = 0
        while True:
            self._check_stopped()
            try:
                return operation()
            except RegistryError as error:
                failures += 1
                few = isinstance(error, Slow) or isinstance(error.__cause__, httpx2.ConnectError)
                attempts = _FEW_ATTEMPTS if few else len(_DELAYS) + 1
                if not error.heals or failures >= attempts:
                    raise
                # Spread, so that parallel uploads do not all come back in the same instant.
                delay = _DELAYS[failures - 1] * random.uniform(0.75, 1.25)  # noqa: S311
                if self._wait(max(delay, error.retry_after or 0.0)):
                    raise

    def send(
        self,
        method: str,
        url: httpx2.URL,
        *,
        scopes: Scopes,
        ok: Collection[int],
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        stream: bool = False,
    ) -> httpx2.Response:
        """Send a request once, with what its challenge and its redirects ask for.

        With `stream`, the caller reads and closes the answer; else it has been read.

        Raises:
            RegistryError: no answer came.
            Refused: the status is not one of `ok`.

        """
        headers = dict(headers or {})
        challenged = 0
        for _ in range(_MOST_REDIRECTS + 2):
            ours = url.origin == self._root().origin
            authorization = self._auth.header(scopes) if ours else None
            given = {**headers, "Authorization": authorization} if authorization else headers
            response = self._exchange(method, url, given, body)
            if response.status_code == 401 and ours and challenged < 2:
                challenged += 1
                response = self._read(response)
                if self._auth.answer(response, scopes) is None:
                    raise self._refusal(response, scopes)
            elif response.has_redirect_location:
                url = self._redirect(response)
            elif response.status_code in ok:
                return response if stream else self._read(response)
            else:
                raise self._refusal(self._read(response), scopes)
        raise RegistryError(f"registry {self.host}: {shown(url)} is redirected again and again")

    def broken(self, error: httpx2.TransportError) -> RegistryError:
        """Turn what the HTTP library raised into words."""
        return unreachable(self.host, error, insecure=self.insecure)

    def _root(self) -> httpx2.URL:
        with self._lock:
            if self._base is None:
                self._base = self._find_base()
            return self._base

    def _exchange(
        self, method: str, url: httpx2.URL, headers: dict[str, str], body: Body | None
    ) -> httpx2.Response:
        content: Iterable[bytes] | None = None
        if body is not None:
            headers = {**headers, "Content-Length": str(body.size)}
            content = self._until_stopped(body.open())
        client = self._client(secure=url.scheme == "https")
        request = client.build_request(method, url, headers=headers, content=content)
        return self._sent(client, request)

    def _sent(self, client: httpx2.Client, request: httpx2.Request) -> httpx2.Response:
        try:
            return client.send(request, stream=True, auth=None, follow_redirects=False)
        except httpx2.TransportError as error:
            host = request.url.netloc.decode()
            if request.url.origin == self._root().origin:
                host = self.host
            raise unreachable(host, error, insecure=self.insecure) from error

    def _until_stopped(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        for chunk in chunks:
            self._check_stopped()
            yield chunk

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise RequestGivenUp(f"registry {self.host}: given up")

    def _send_plainly(
        self, method: str, url: httpx2.URL, headers: dict[str, str], form: dict[str, str] | None
    ) -> httpx2.Response:
        for _ in range(_MOST_REDIRECTS + 1):
            client = self._client(secure=url.scheme == "https")
            request = client.build_request(method, url, headers=headers, data=form)
            response = self._sent(client, request)
            if not response.has_redirect_location:
                return self._read(response)
            target, asked = self._redirect(response), url.origin
            if target.origin != asked:
                headers = {}  # they were for who was asked
            if form is not None and (target.origin != asked or response.status_code < 307):
                raise RegistryError(
                    f"registry {self.host}: {shown(url)} redirects to {shown(target)}, which gets"
                    " no credentials"
                )
            url = target
        raise RegistryError(f"registry {self.host}: {shown(url)} is redirected again and again")

    def _read(self, response: httpx2.Response) -> httpx2.Response:
        try:
            return registry_answers.read(response, self.host)
        except httpx2.TransportError as error:
            raise self.broken(error) from error

    def _redirect(self, response: httpx2.Response) -> httpx2.URL:
        try:
            registry_answers.leave(response)
            url = registry_answers.location(response)
        except httpx2.TransportError as error:
            raise self.broken(error) from error
        except ValueError as error:
            raise RegistryError(f"registry {self.host} redirects: {error}") from None
        plain = url.scheme != "https" and not (self.insecure or is_loopback(url.host))
        if url.scheme not in ("https", "http") or plain:
            raise RegistryError(f"registry {self.host} redirects to {shown(url)}, without https")
        return url

    def _refusal(self, response: httpx2.Response, scopes: Scopes) -> Refused:
        codes, text = error_entries(response)
        request = response.request
        status = response.status_code
        what = f"{request.method} {shown(request.url)}: {status} {self._auth.redact(text)}".strip()
        message, hint = f"registry {self.host}: {what}", None
        repository = scopes[0].split(":")[1] if scopes else ""
        if status in (401, 403):
            action = "push to" if scopes and scopes[0].endswith("push") else "read"
            message = (
                f"registry {self.host} does not let us {action} {repository}"
                f" ({self._auth.describe()}): {what}"
            )
            hint = denied_hint(self.host, push=action == "push to")
            # Some say so also of what does not exist, as they do not tell strangers what does.
            if action == "read":
                hint = f"check the name, or: {hint}"
            if make := missing_repository_hint(self.host, repository):
                hint += f"; if the repository does not exist yet: {make}"
        elif status == 404 and ("NAME_UNKNOWN" in codes or request.method == "POST"):
            message = f"registry {self.host} has no repository {repository}: {what}"
            make = missing_repository_hint(self.host, repository)
            hint = f"make it first: {make}" if make else "check the name, or make it first"
        elif status == 400 and request.url.scheme == "http" and not codes:
            # What servers of https say to plain http; the answer to a HEAD has no words.
            hint = (
                "does it speak https there? then leave out --insecure-registry, and use the host's"
                " name for a registry on this machine"
            )
        elif status == 429:
            hint = f"log in for a higher limit: {denied_hint(self.host, push=False)}"
        asked = retry_after(response.headers.get("retry-after"), time.time())
        return Refused(message, status=status, codes=codes, hint=hint, retry_after=asked)

    def _find_base(self) -> httpx2.URL:
        host = api_host(self.host)
        if is_loopback(host):
            return httpx2.URL(f"http://{host}/v2/")
        secure = httpx2.URL(f"https://{host}/v2/")
        if self.insecure:
            try:
                with self._client(secure=True).stream("GET", secure):
                    pass
            except httpx2.TransportError:
                return httpx2.URL(f"http://{host}/v2/")
        return secure

    def _client(self, *, secure: bool) -> httpx2.Client:
        # One for https and one for http, made when needed: reading the CA certificates takes
        # longer than a push to a registry on this machine.
        with suppress(KeyError):
            return self._clients[secure]
        verify = self._context() if secure and not self.insecure else False
        trust_env = not is_loopback(self.host)  # a proxy does not know our loopback
        if trust_env:
            check_proxies()
        client = httpx2.Client(
            verify=verify,
            timeout=_TIMEOUT,
            headers={"User-Agent": "dag", "Accept-Encoding": "identity"},
            trust_env=trust_env,
            cookies=NoCookies(),
        )
        return self._clients.setdefault(secure, client)

    def _context(self) -> ssl.SSLContext:
        context = tls_context()
        for directory in _CERTIFICATE_DIRECTORIES:
            for certificate in sorted((directory / self.host).glob("*.crt")):
                try:
                    context.load_verify_locations(certificate)
                except OSError as error:  # an SSLError is one
                    why = getattr(error, "reason", None) or error.strerror
                    raise RegistryError(
                        f"{certificate} cannot be used: {why}",
                        hint=f"it is trusted for {self.host}: put its CA there, in PEM",
                    ) from None
        return context
