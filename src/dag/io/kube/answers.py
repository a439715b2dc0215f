"""Reads what an API server answers, and finds out what does not come from one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import msgspec

from dag.core.kube.objects import KubeObject
from dag.core.kube.policies import policy_remedy
from dag.core.limits import TooLarge
from dag.core.web import PROXY_LOGIN, parse_retry_after
from dag.errors import InfrastructureError
from dag.io.connections import CLOSED_TO_POD, is_in_pod
from dag.io.kube.auth import CredentialError
from dag.io.web import certificate_error, certificate_hint


class ApiError(InfrastructureError):
    """A request failed; `status` is that of HTTP, or 0 if there was no answer.

    `retry_after` is how many seconds the server asked to wait.
    With `settles`, no answer of a kind that comes and goes where contact has been good, but at
    first contact says that something is set up wrongly.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        reason: str = "",
        hint: str | None = None,
        settles: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason
        self.settles = settles
        self.retry_after = retry_after


@contextmanager
def translate_errors(server: str) -> Iterator[None]:
    """Turn what goes wrong with a request into an `ApiError` with status 0."""
    try:
        yield
    except httpx2.LocalProtocolError:
        # Its text quotes what could not be sent, such as a header with a credential.
        raise ApiError(
            f"{server}: the request could not be sent",
            status=0,
            hint="does the token or the password of the kubeconfig have characters that no header has?",
        ) from None
    except httpx2.TransportError as error:
        # One that is not taken now is not taken later.
        certificate = certificate_error(error)
        hint = certificate_hint(certificate, _ANOTHER_CA) if certificate else _no_answer()
        settles = certificate is not None
        if isinstance(error, httpx2.ProxyError) and str(error).startswith("407 "):
            hint, settles = PROXY_LOGIN, True
        raise ApiError(
            f"{server}: {_words(error)}", status=0, hint=hint, settles=settles
        ) from error
    except TooLarge as error:
        raise strange_answer(server, error.message) from None
    except httpx2.DecodingError as error:
        raise strange_answer(server, "its body is not encoded as it says") from error
    except CredentialError as error:
        raise ApiError(error.message, status=0, hint=error.hint, settles=True) from error


def _words(error: httpx2.TransportError) -> str:
    if isinstance(error, httpx2.ConnectTimeout):
        return "no answer within 30 s"
    if isinstance(error, httpx2.ConnectError):
        return f"cannot connect ({error})"
    return str(error) or type(error).__name__


def strange_answer(server: str, why: str) -> ApiError:
    """Return the error for what no API server would answer."""
    return ApiError(
        f"{server} does not answer like a Kubernetes API: {why}",
        status=0,
        hint="is `server:` of the kubeconfig right, or is something in between answering?",
        settles=True,
    )


def check_moved(server: str, response: httpx2.Response) -> None:
    """Refuse a redirection: the API has none, and whoever sends one is something else.

    Raises:
        ApiError: it is one.

    """
    if 300 <= response.status_code < 400:
        raise strange_answer(
            server, f"it answers with HTTP {response.status_code}, as if it had moved"
        )


def check_page(server: str, response: httpx2.Response) -> None:
    """Refuse a web page, such as one that tells of maintenance.

    Raises:
        ApiError: it is one.

    """
    kind = response.headers.get("Content-Type", "")
    if kind.partition(";")[0].strip().lower() == "text/html":
        raise strange_answer(server, "a web page came")


def read_answer(server: str, response: httpx2.Response) -> KubeObject:
    """Read what an answer holds; of which kind it must be is for others to check.

    Raises:
        ApiError: refused, or it is no object.

    """
    if response.status_code >= 400:
        raise refusal_of(server, response)
    check_moved(server, response)
    check_page(server, response)
    try:
        found = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise strange_answer(server, "what came is not JSON") from None
    if not isinstance(found, dict):
        raise strange_answer(server, "what came is no Kubernetes object")
    return found


def check_object(server: str, found: KubeObject, kind: str | None) -> None:
    """Refuse an answer that is no object, or not of the kind that was sent.

    Raises:
        ApiError: it is not.

    """
    if kind is not None and found.get("kind") != kind:
        raise strange_answer(server, f"what came is no {kind}")
    # What reviews are made of is kept nowhere, and has nothing to tell it by.
    named = isinstance(found.get("metadata"), dict) and "uid" in found["metadata"]
    if not named and not str(kind).endswith("Review"):
        raise strange_answer(server, "what came is no Kubernetes object")


def check_version(server: str, found: KubeObject) -> None:
    """Refuse an answer that names no version.

    Raises:
        ApiError: it does not.

    """
    if "gitVersion" not in found:
        raise strange_answer(server, "what came is not the version of one")


def check_group(server: str, found: KubeObject) -> None:
    """Refuse an answer that tells of no group of the API, and which version of it is preferred.

    Raises:
        ApiError: it does not.

    """
    preferred = found.get("preferredVersion")
    if not isinstance(preferred, dict) or not isinstance(preferred.get("groupVersion"), str):
        raise strange_answer(server, "what came is no group of its API")


def check_list(server: str, found: KubeObject) -> None:
    """Refuse an answer that is not the list that was asked for.

    Raises:
        ApiError: it is not.

    """
    metadata, items = found.get("metadata"), found.get("items")
    if (
        not isinstance(metadata, dict)
        or "resourceVersion" not in metadata
        or not isinstance(items, list)
        or not all(_is_object(item) for item in items)
    ):
        raise strange_answer(server, "what came is not the list that was asked for")


def read_event(server: str, line: bytes) -> tuple[str, KubeObject]:
    """Read one line of a watch: what happened, and to which object.

    Raises:
        ApiError: the watch ends with this line, as most often by 410 Gone, or it is no event.

    """
    try:
        found = msgspec.json.decode(line)  # of which there are many, and each has a whole Pod
        kind, item = found["type"], found["object"]
    except (msgspec.DecodeError, ValueError, KeyError, TypeError, RecursionError):
        # Most often half a line, of a connection that broke.
        raise strange_answer(server, "what came in a watch is no event") from None
    if kind == "ERROR" and isinstance(item, dict):
        code = item.get("code")
        raise ApiError(str(item.get("message", "")), status=code if isinstance(code, int) else 410)
    if not isinstance(kind, str) or not _is_object(item, named=kind != "BOOKMARK"):
        raise strange_answer(server, "what came in a watch is no event")
    return kind, item


def version_of(item: KubeObject) -> str:
    """Return which version of an object this is."""
    return str(item["metadata"]["resourceVersion"])


def _is_object(item: object, *, named: bool = True) -> bool:
    if not isinstance(item, dict) or not isinstance(metadata := item.get("metadata"), dict):
        return False
    return "resourceVersion" in metadata and (not named or "uid" in metadata)


def refusal_of(server: str, response: httpx2.Response) -> ApiError:
    """Return the error for an answer that refuses, most often a Status, with what to do about it."""
    code = response.status_code
    try:
        status = response.json()
        message, reason = str(status["message"]), str(status.get("reason", ""))
        is_status = True
    except (ValueError, KeyError, TypeError, AttributeError):
        message = response.text.strip()[:500] or response.reason_phrase
        reason, is_status = "", False
    if code == 401:
        message = f"the API server does not accept the credentials: {message}"
    elif code >= 500 or not is_status:
        message = f"{server} answers with HTTP {code}: {message}"
    hints = (
        hint for (status, words), hint in _HINTS.items() if status == code and words in message
    )
    otherwise = _FAILING if code >= 500 else None if is_status else _no_answer()
    return ApiError(
        message,
        status=code,
        reason=reason,
        hint=policy_remedy(message) or next(hints, otherwise),
        retry_after=parse_retry_after(response.headers.get("Retry-After"), time.time()),
    )


_ANOTHER_CA = (
    "is that cluster still the one of the kubeconfig? One that was made anew has another CA: get its"
    " kubeconfig again"
)


def _no_answer() -> str:
    if is_in_pod():
        return (
            f"{CLOSED_TO_POD} That of `dag setup cluster --close-network` leaves it open for what drives"
            " builds"
        )
    return "kubectl cluster-info asks the same server; is the cluster up?"


_FAILING = (
    "the API server fails, or what is in front of it: try again, and ask who runs the cluster if that"
    " does not pass"
)
_HINTS = {
    (401, ""): "log in again; `kubectl auth whoami` uses the same kubeconfig",
    (404, "namespaces "): "kubectl create namespace makes one; --namespace names another",
    (403, "looking up service account"): "kubectl create serviceaccount makes one;"
    " --service-account names another",
    (403, "exceeded quota"): "ask for less with --cpu, --ram and --disk; `kubectl describe quota"
    " -n NAMESPACE` tells what is left",
    (
        403,
        "failed quota",
    ): "a LimitRange in the namespace can say what containers get that name no limit",
    (403, "usage per "): "the namespace limits that: ask for less with --cpu, --ram and --disk;"
    " `kubectl describe limitrange -n NAMESPACE` tells how much",
    (403, "cannot"): "ask who runs the cluster for that permission",
}
"""What to do about a refusal, by its status and words of its message; the first that fits."""
