"""Sends requests to one registry: with credentials, redirected without leaking, tried again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import httpx2

from dag.core.web import MAX_REDIRECTS, is_loopback, parse_retry_after, status_words
from dag.io.image.registry import answers as registry_answers
from dag.io.image.registry.auth import Authorizer, TokenScopes, repository_of
from dag.io.image.registry.clients import RegistryClients
from dag.io.image.registry.refusals import (
    Refused,
    RegistryError,
    circling,
    denied_hint,
    missing_repository_hint,
    parse_refusal,
    refusal_hint,
    unreachable,
)
from dag.io.retries import RetryPolicy, may_heal, retry
from dag.io.web import public_url

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

T = TypeVar("T")

RETRIES = RetryPolicy()
"""Who asks for more than a minute, as Docker Hub does when a day's pulls are spent, is not waited
for."""


@dataclass(frozen=True)
class Body:
    """The body of a request: its size in bytes, and a way to produce it again for each attempt."""

    size: int
    open: Callable[[], Iterable[bytes]]

    @classmethod
    def of(cls, data: bytes) -> Body:
        """Return a body of bytes that are at hand."""
        return cls(len(data), lambda: (data,))


class RequestGivenUp(RegistryError):
    """The request was given up: another one failed for good, or somebody pressed Ctrl-C."""


class RegistryTransport:
    """The way to one registry. Threads may share it. Close it, or use it in a `with`."""

    def __init__(
        self,
        host: str,
        *,
        insecure: bool = False,
        retries: RetryPolicy | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """Set up, without a connection.

        `insecure` allows plain http and certificates that nobody signed; this machine's own
        addresses always get plain http. `sleep` takes the place of waiting for so many seconds.
        """
        self.host = host
        self.insecure = insecure
        self._stop = threading.Event()
        self._retries = RETRIES if retries is None else retries
        self._sleep = self._stop.wait if sleep is None else sleep
        self._clients = RegistryClients(host, insecure=insecure)
        self._auth = Authorizer(host, self._send_plainly, insecure=insecure)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up what still runs, and close every connection."""
        self._stop.set()
        self._clients.close()

    def stop(self) -> None:
        """Make requests in other threads end at their next byte or attempt."""
        self._stop.set()

    def url(self, path: str) -> httpx2.URL:
        """Return the URL of a path below `/v2/`."""
        return self._clients.base().join(path)

    def retry(
        self, operation: Callable[[], T], heals: Callable[[BaseException], bool] = may_heal
    ) -> T:
        """Run an operation until it succeeds, or fails in a way that does not heal.

        Raises:
            RegistryError: the last failure.

        """

        def attempt() -> T:
            self._check_stopped()
            return operation()

        def wait(seconds: float) -> None:
            # `stop` ends the waiting, and then the next attempt gives up.
            self._sleep(seconds)

        return retry(attempt, self._retries, heals=heals, sleep=wait)

    def send(
        self,
        method: str,
        url: httpx2.URL,
        *,
        scopes: TokenScopes,
        ok: Collection[int],
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        stream: bool = False,
    ) -> httpx2.Response:
        """Send a request, with what its challenge and its redirects ask for.

        With `stream`, the caller reads and closes the answer; else it has been read. One that a busy
        registry has put off (429) is sent again, if it has no body: a registry that puts off every
        second one lets no longer row of them through.

        Raises:
            RegistryError: no answer came.
            Refused: the status is not one of `ok`.

        """

        def attempt() -> httpx2.Response:
            return self._send(method, url, headers or {}, body, scopes, ok=ok, stream=stream)

        if body is not None and body.size:
            return attempt()
        try:
            return self.retry(attempt, heals=_is_put_off)
        except Refused as refusal:
            refusal.heals &= not _is_put_off(refusal)  # that was tried for long enough
            raise

    def _send(
        self,
        method: str,
        url: httpx2.URL,
        headers: dict[str, str],
        body: Body | None,
        scopes: TokenScopes,
        *,
        ok: Collection[int],
        stream: bool,
    ) -> httpx2.Response:
        challenged = 0
        for _ in range(MAX_REDIRECTS + 2):
            ours = url.origin == self._clients.base().origin
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
        raise circling(self.host, url)

    def credentials(self, scopes: TokenScopes) -> str:
        """Return in words which credentials were used for `scopes`, if any were asked for."""
        return self._auth.describe(scopes)

    def unreachable(self, error: httpx2.TransportError) -> RegistryError:
        """Return the error for what the HTTP library raised."""
        return unreachable(self.host, error, insecure=self.insecure)

    def _exchange(
        self, method: str, url: httpx2.URL, headers: dict[str, str], body: Body | None
    ) -> httpx2.Response:
        content: Iterable[bytes] | None = None
        if body is not None:
            headers = {**headers, "Content-Length": str(body.size)}
            content = self._until_stopped(body.open())
        client = self._clients.client(url)
        request = client.build_request(method, url, headers=headers, content=content)
        return self._deliver(client, request)

    def _deliver(self, client: httpx2.Client, request: httpx2.Request) -> httpx2.Response:
        try:
            response = client.send(request, stream=True, auth=None, follow_redirects=False)
        except httpx2.TransportError as error:
            ours = request.url.origin == self._clients.base().origin
            elsewhere = "" if ours else request.url.netloc.decode()
            raise unreachable(self.host, error, insecure=self.insecure, at=elsewhere) from error
        if self._stop.is_set():
            # Whoever closes the clients does not close a connection that is just being made.
            response.close()
            self._check_stopped()
        return response

    def _until_stopped(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        for chunk in chunks:
            self._check_stopped()
            yield chunk

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise RequestGivenUp(f"registry {self.host}: the request was given up")

    def _send_plainly(
        self, method: str, url: httpx2.URL, headers: dict[str, str], form: dict[str, str] | None
    ) -> httpx2.Response:
        for _ in range(MAX_REDIRECTS + 1):
            client = self._clients.client(url)
            request = client.build_request(method, url, headers=headers, data=form)
            response = self._deliver(client, request)
            if not response.has_redirect_location:
                return self._read(response)
            target, asked = self._redirect(response), url.origin
            if target.origin != asked:
                headers = {}  # they were for who was asked
            if form is not None and (target.origin != asked or response.status_code < 307):
                raise RegistryError(
                    f"registry {self.host}: {public_url(url)} redirects to {public_url(target)}, which gets"
                    " no credentials"
                )
            url = target
        raise circling(self.host, url)

    def _read(self, response: httpx2.Response) -> httpx2.Response:
        try:
            return registry_answers.read_document(response, self.host)
        except httpx2.TransportError as error:
            raise self.unreachable(error) from error

    def _redirect(self, response: httpx2.Response) -> httpx2.URL:
        try:
            registry_answers.discard(response)
            url = registry_answers.parse_location(response)
        except httpx2.TransportError as error:
            raise self.unreachable(error) from error
        except ValueError as error:
            raise RegistryError(f"registry {self.host} redirects: {error}") from None
        self.require_https(url, "redirects to")
        return url

    def require_https(self, url: httpx2.URL, what: str) -> None:
        """Refuse a URL that the registry has named, if what goes there could be read on its way.

        Raises:
            RegistryError: it is neither https, nor http where that is allowed.

        """
        plain = url.scheme != "https" and not (self.insecure or is_loopback(url.host))
        if url.scheme not in ("https", "http") or plain:
            raise RegistryError(
                f"registry {self.host} {what} {public_url(url)}, without https",
                hint="a registry behind a proxy that speaks https must know that: the proxy has to"
                " send X-Forwarded-Proto",
            )

    def _refusal(self, response: httpx2.Response, scopes: TokenScopes) -> Refused:
        said = parse_refusal(response)
        request = response.request
        status = response.status_code
        text = self._auth.redact(said.text)
        words = text or status_words(status)  # the answer to a HEAD has none
        what = f"{request.method} {public_url(request.url)}: {status} {words}".strip()
        message, hint = f"registry {self.host}: {what}", None
        repository = repository_of(scopes)
        if status in (401, 403):
            action = "push to" if scopes and scopes[0].endswith("push") else "read"
            message = (
                f"registry {self.host} does not let us {action} {repository}"
                f" ({self._auth.describe(scopes)}): {what}"
            )
            hint = denied_hint(self.host, push=action == "push to")
            # Some say so also of what does not exist, as they do not tell strangers what does.
            if action == "read":
                hint = f"check the name, or: {hint}"
            if make := missing_repository_hint(self.host, repository):
                hint += f"; if the repository does not exist yet: {make}"
        elif status == 404 and ("NAME_UNKNOWN" in said.codes or request.method == "POST"):
            message = f"registry {self.host} has no repository {repository}: {what}"
            make = missing_repository_hint(self.host, repository)
            hint = f"make it first: {make}" if make else "check the name, or make it first"
        else:
            hint = refusal_hint(self.host, request, status, said.codes)
        asked = parse_retry_after(response.headers.get("retry-after"), time.time())
        return Refused(message, status=status, codes=said.codes, hint=hint, retry_after=asked)


def _is_put_off(error: BaseException) -> bool:
    return isinstance(error, Refused) and error.status == 429
