"""The refusals and silences of registries, in words, with the command that mends them."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING

from dag.core.image.descriptors import parse_object
from dag.core.web import PROXY_LOGIN, TOO_LARGE_FOR_SERVER, is_loopback, may_heal
from dag.errors import InfrastructureError
from dag.io.retries import MayHeal
from dag.io.web import certificate_hint, public_url

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import httpx2

_ECR = re.compile(r"\d+\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_ARTIFACT_REGISTRY = re.compile(r"([a-z0-9-]+)-docker\.pkg\.dev")
_GCR = re.compile(r"(?:(us|eu|asia)\.)?gcr\.io")
_GCR_LOCATIONS = {"us": "us", "eu": "europe", "asia": "asia", None: "us"}
"""https://cloud.google.com/artifact-registry/docs/transition/setup-gcr-repo"""

_HEALING_CODES = frozenset(
    {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "MANIFEST_BLOB_UNKNOWN", "TOOMANYREQUESTS"}
)
"""An upload session that the registry has lost (it was restarted, or another replica answers) heals
as every attempt opens its own. A blob that was there before the manifest is not known for a moment to
another replica, or while somebody else pushes the same."""

_OUR_CERTIFICATE = re.compile(r"ALERT_(?:\w*CERTIFICATE|UNKNOWN_CA)")
"""What a server says of the certificate of whoever asks: there is none, or it is of no use.
https://docs.openssl.org/master/man3/SSL_alert_type_string/#return-values"""
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
_SILENCES = {
    "ConnectTimeout": "it does not answer",
    "ReadTimeout": "the answer did not come in time",
    "WriteTimeout": "it stopped reading what was sent",
}

_BY_STATUS = {407: PROXY_LOGIN, 413: TOO_LARGE_FOR_SERVER}
_LONGEST_TEXT = 300
_TITLE = re.compile(r"<title\b[^>]*>([^<]{1,300})", re.IGNORECASE)


class RegistryError(InfrastructureError, MayHeal):
    """A request to a registry failed; `heals` when the same request may succeed later."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        heals: bool = False,
        slow: bool = False,
        retry_after: float | None = None,
    ) -> None:
        """Take what failed; `retry_after` is how many seconds the server asked to wait."""
        super().__init__(message, hint=hint)
        self.heals = heals
        self.slow = slow
        self.retry_after = retry_after


class TooSlow(RegistryError):
    """An answer did not come in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, heals=True, slow=True)


class Refused(RegistryError):
    """A registry answered, and not as hoped."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        codes: Iterable[str] = (),
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Take HTTP's status, and the codes of the answer's error entries."""
        codes = frozenset(codes)
        heals = may_heal(status) or bool(codes & _HEALING_CODES)
        super().__init__(message, hint=hint, heals=heals, retry_after=retry_after)
        self.status = status
        self.codes = codes


@dataclass(frozen=True, slots=True)
class RefusalBody:
    """The body of an error: the codes of its entries, and its messages in one line."""

    codes: tuple[str, ...]
    text: str


def parse_refusal(response: httpx2.Response) -> RefusalBody:
    """Read the body of an error, fit to be shown.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
    """
    try:
        entries = parse_object(response.content)["errors"]
        codes = tuple(str(entry.get("code", "")) for entry in entries)
        texts = [": ".join(str(v) for k in ("code", "message") if (v := e.get(k))) for e in entries]
        text = "; ".join(texts)
    except (ValueError, KeyError, TypeError, AttributeError):
        # Whatever the charset: what a stranger says is shown, and not let loose on a terminal.
        codes, text = (), response.content[: 4 * _LONGEST_TEXT].decode(errors="replace")
        if title := _TITLE.search(text):  # a page of what is in front of the registry
            text = unescape(title[1]).strip().removeprefix(str(response.status_code))
    line = " ".join(text.split())[:_LONGEST_TEXT]
    return RefusalBody(codes, "".join(char if char.isprintable() else "?" for char in line))


def unreachable(host: str, error: BaseException, *, insecure: bool, at: str = "") -> RegistryError:
    """Return the error for no answer from a registry: why none came, and what to try.

    `at` is the host that was asked, if that is another one, to which the registry has led.
    """
    reason = _cause_of(error)
    text = str(error)
    # Where nobody takes a connection, nobody will in the next seconds either.
    slow = type(error).__name__ == "ConnectError"
    who = f"{at}, to which registry {host} leads," if at else f"registry {host}"
    if isinstance(reason, ssl.SSLCertVerificationError):
        trust = "point $SSL_CERT_FILE at a file with its CA"
        if not at:
            trust += f", or put the CA into /etc/docker/certs.d/{host}/ca.crt"
        return RegistryError(
            f"the certificate of {who.removesuffix(',')} is not trusted: {reason.verify_message}",
            hint=certificate_hint(reason, trust),
        )
    if isinstance(reason, ssl.SSLError) and reason.reason in _NOT_TLS:
        return RegistryError(
            f"{who} does not speak https", hint="for plain http: --insecure-registry"
        )
    if isinstance(reason, ssl.SSLError):
        why = reason.reason or str(reason)
        hint = _client_certificate_hint(host) if _OUR_CERTIFICATE.search(why) else None
        return RegistryError(
            f"{who.removesuffix(',')}: TLS failed: {why}", hint=hint, heals=not hint, slow=slow
        )
    if isinstance(reason, socket.gaierror):
        return RegistryError(
            f"{who} cannot be found: {reason.strerror}",
            hint="check the name, the network, and HTTPS_PROXY if there is a proxy",
            heals=True,
            slow=slow,
        )
    if type(error).__name__ == "ProxyError":
        status = int(text[:3]) if text[:3].isdecimal() else 502
        hint = PROXY_LOGIN if status == 407 else "ask who runs the proxy that HTTPS_PROXY names"
        return RegistryError(
            f"{who} cannot be reached: the proxy refuses: {text}", hint=hint, heals=may_heal(status)
        )
    why = _SILENCES.get(type(error).__name__) or text or type(error).__name__
    hint = "check the network, and HTTPS_PROXY if there is a proxy"
    if at:
        hint += "; a proxy before the registry has to pass on the Host that it was asked for, with the port"
    elif is_loopback(host):
        hint = "is the registry running on this machine, on that port?"
    elif insecure:
        hint = "is the registry running, and does it speak plain http there?"
    return RegistryError(f"{who} cannot be reached: {why}", hint=hint, heals=True, slow=slow)


def _client_certificate_hint(host: str) -> str:
    return (
        "does it want a certificate of whoever asks? Put that into"
        f" /etc/docker/certs.d/{host}/client.cert, and its key into client.key beside it"
    )


def circling(host: str, url: httpx2.URL) -> RegistryError:
    """Return the error for redirects of a registry that lead in a circle."""
    return RegistryError(
        f"registry {host}: {public_url(url)} is redirected again and again",
        hint="is that a registry? ask who runs it, or what is in front of it",
    )


def _cause_of(error: BaseException) -> BaseException:
    # The HTTP library wraps what the socket raised, twice.
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError | socket.gaierror):
            return seen
        seen = seen.__cause__ or seen.__context__
    return error


def refusal_hint(
    host: str, request: httpx2.Request, status: int, codes: Collection[str]
) -> str | None:
    """Return what to do about a refusal that has nothing to do with who asks."""
    plain = request.url.scheme == "http"
    match status:
        case 400 if plain and not codes:
            # What servers of https say to plain http; the answer to a HEAD has no words.
            return (
                "does it speak https there? then leave out --insecure-registry, and use the host's"
                " name for a registry on this machine"
            )
        case 400 | 496 if not (plain or codes) and request.method in ("GET", "HEAD"):
            return _client_certificate_hint(host)  # what nginx says to whoever has none
        case _ if "MANIFEST_BLOB_UNKNOWN" in codes:
            return "what it has of the image was there just now: does somebody delete there?"
        case 400 | 415 | 422 if request.method == "PUT" and "/manifests/" in request.url.path:
            return (
                "a registry must take OCI's indexes, and layers of zstd: one that is too old is"
                " updated, or name another repository"
            )
        case 404 if request.method == "GET":
            return "is it still there? Somebody may have deleted it, or its name is another one"
        case 405 if request.method in ("POST", "PUT"):
            return "that registry may be read-only, such as a mirror: name another repository"
        case 407 | 413:
            return _BY_STATUS[status]
        case 429:
            return f"log in for a higher limit: {denied_hint(host, push=False)}"
        case _ if status >= 500:
            return (
                "the registry fails, or what is in front of it: try again later, or ask who runs it"
            )
    return None


def denied_hint(host: str, *, push: bool) -> str:
    """Return what to do when access is denied."""
    if match := _ECR.fullmatch(host):
        return (
            f"aws ecr get-login-password --region {match[1]}"
            f" | docker login --username AWS --password-stdin {host}"
        )
    if _ARTIFACT_REGISTRY.fullmatch(host) or _GCR.fullmatch(host):
        role = "writer" if push else "reader"
        return (
            f"gcloud auth configure-docker {host}, with an account that has"
            f" roles/artifactregistry.{role}"
        )
    return f"docker login {host}"


def missing_repository_hint(host: str, repository: str) -> str | None:
    """Return the command that makes a repository, where a registry wants it to exist first."""
    parts = repository.split("/")
    if match := _ECR.fullmatch(host):
        return f"aws ecr create-repository --repository-name {repository} --region {match[1]}"
    if (match := _ARTIFACT_REGISTRY.fullmatch(host)) and len(parts) > 1:
        return (
            f"gcloud artifacts repositories create {parts[1]} --repository-format=docker"
            f" --location={match[1]} --project={parts[0]}"
        )
    if match := _GCR.fullmatch(host):
        return (
            f"gcloud artifacts repositories create {host} --repository-format=docker"
            f" --location={_GCR_LOCATIONS[match[1]]} --project={parts[0]}"
        )
    return None
