"""The answers and the silences of servers of sources, in words."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

import h11

from dag.core.web import PROXY_LOGIN, status_words
from dag.io.sources.http import NoConnection
from dag.io.web import certificate_hint

if TYPE_CHECKING:
    from dag.io.sources.http import Head

_UNTRUSTED = "if it is the right server, $SSL_CERT_FILE must name a file with its CA"
_BYTES = re.compile(r"bytearray\(b('.*'|\".*\")\)")
"""How h11 shows what it could not read."""


def odd_answer(head: Head) -> str:
    """Return what may explain that a body is not the file, as the end of a sentence."""
    encoding = head.headers.get("content-encoding")
    if encoding and encoding != "identity":
        return f" (sent with Content-Encoding {encoding[:20]!r}, which was not asked for)"
    if head.headers.get("content-type", "").startswith("text/html"):
        return " (the server says that it is a web page)"
    return ""


def status_text(status: int) -> str:
    """Return an HTTP status with its name."""
    return f"HTTP {status} {status_words(status)}".rstrip()


def refusal_text(status: int, login_hint: str) -> str:
    """Return an HTTP status that no further request would change, with what might."""
    hint = f": {PROXY_LOGIN}" if status == 407 else ""
    if status == 401:
        hint = f": {login_hint}"
    return f"{status_text(status)}{hint}"


def failure_text(error: BaseException) -> str:
    """Return why no answer came, in words."""
    cause: BaseException | None = error
    while cause is not None and (not str(cause) or isinstance(cause, NoConnection)):
        cause = cause.__cause__ or cause.__context__
    text = getattr(cause, "strerror", None) or str(cause or type(error).__name__)
    if isinstance(error, NoConnection):
        return f"there is no connection: {text}"
    if isinstance(error, h11.RemoteProtocolError):
        plain = _BYTES.sub(r"\1", text)
        return f"the server broke the protocol, or broke off: {plain}"
    return "the connection broke"


def tls_problem(error: BaseException) -> str | None:
    """Return why the server could not be verified, and what may help; None if that is not the reason."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"{seen.verify_message}: {certificate_hint(seen, _UNTRUSTED)}"
        if isinstance(seen, ssl.SSLError) and not isinstance(seen, ssl.SSLEOFError):
            return seen.reason or str(seen)
        seen = seen.__cause__ or seen.__context__
    return None
