"""The answers and the silences of servers of sources, in words."""

from __future__ import annotations

import ssl
from http import HTTPStatus

import httpx2


def odd_answer(response: httpx2.Response) -> str:
    """Return what may explain that a body is not the file, as the end of a sentence."""
    encoding = response.headers.get("Content-Encoding")
    if encoding and encoding != "identity":
        return f" (sent with Content-Encoding {encoding[:20]!r}, which was not asked for)"
    if response.headers.get("Content-Type", "").startswith("text/html"):
        return " (the server says that it is a web page)"
    return ""


def status_text(status: int) -> str:
    """Return an HTTP status with its name."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def failure_text(error: httpx2.TransportError) -> str:
    """Return why no answer came, in words."""
    text, cause = str(error), error.__cause__ or error.__context__
    while not text and cause is not None:
        text, cause = str(cause), cause.__cause__ or cause.__context__
    text = text or type(error).__name__
    return {
        httpx2.ReadError: "the connection broke",
        httpx2.RemoteProtocolError: f"the server broke the protocol, or broke off: {text}",
        httpx2.ConnectError: f"there is no connection: {text}",
        httpx2.ProxyError: f"the proxy refuses: {text}",
    }.get(type(error), text)


def tls_problem(error: BaseException) -> str | None:
    """Return why the server could not be verified; None if that is not why it failed."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen.verify_message
        if isinstance(seen, ssl.SSLError) and not isinstance(seen, ssl.SSLEOFError):
            return seen.reason or str(seen)
        seen = seen.__cause__ or seen.__context__
    return None
