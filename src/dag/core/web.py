"""URLs and HTTP headers that strangers wrote: checked, and made fit to be shown.

Definitions and servers are untrusted: nothing but http and https is asked for, and nothing that
logs somebody in is shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from dag.errors import UsageError

MAX_REDIRECTS = 10
"""How many redirects in a row are followed; more is a circle."""

PROXY_LOGIN = "the proxy wants a login, which http://USER:PASSWORD@HOST:PORT in its variable is"
"""What to do about HTTP 407."""
TOO_LARGE_FOR_SERVER = (
    "the server, or a proxy before it, takes nothing of that size: let who runs it raise the limit"
    " (client_max_body_size of nginx)"
)
"""What to do about HTTP 413."""

_SECRET_PARAMETER = re.compile(r"token|key|secret|sig|passw|auth|credential", re.IGNORECASE)
_SECRET_WORDS = re.compile(
    r"(?:^|_)(?:TOKENS?|SECRETS?|PASSWORDS?|PASSWD|PASSPHRASES?|CREDENTIALS?|APIKEY"
    r"|(?:API|ACCESS|SECRET|PRIVATE|AUTH)_KEY)(?:_|$)"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s'\"]+")
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_NO_URI_CHARACTER = re.compile(r"[\x00-\x20\x7f\\]")
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/(?:([0-9]{1,18})|\*)")
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}")

_HEALING_BELOW_500 = frozenset({408, 425, 429})
_LASTING_FROM_500 = frozenset({501, 505})
"""Not Implemented, and HTTP Version Not Supported: the server says what it is, not how it feels."""


def may_heal(status: int) -> bool:
    """Return whether asking again may bring something else than this HTTP status.

    https://www.rfc-editor.org/rfc/rfc9110#section-15
    """
    return status in _HEALING_BELOW_500 or (status >= 500 and status not in _LASTING_FROM_500)


def is_web_page(data: bytes | bytearray) -> bool:
    """Return whether what came in the place of a file is a page for a person, as of a login."""
    return _PAGE.match(data) is not None


def status_words(status: int) -> str:
    """Return what an HTTP status is called; empty for one that nobody has named."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def login_hint(url: str) -> str:
    """Return how a login at a repository is told, which its URL must not have.

    apko takes the variable apart at each colon, and compares HOST with the URL's host and port.
    https://github.com/chainguard-dev/apko/blob/v1.2.21/pkg/apk/auth/auth.go
    """
    variable = "$HTTP_AUTH=basic:HOST:USER:PASSWORD"
    if ":" in url.partition("://")[2].partition("/")[0].rpartition("@")[2]:
        return f"{variable} can name no port: serve the repository at a URL without one"
    return f"{variable} says it to dag and melange"


def status_hint(url: str, status: int) -> str:
    """Return what to do about a server's answer with an HTTP status that is none of success."""
    if status in (401, 403):
        return f"does it want a login? {login_hint(url)}"
    if status == 407:
        return PROXY_LOGIN
    if may_heal(status):
        return "that may pass: try again later, or ask who runs the server"
    return "is the URL right? try it with curl, and ask who runs the server"


def check_uri(uri: str) -> SplitResult:
    """Take apart a URI that may be asked for.

    Raises:
        UsageError: it is not http or https, has no host, or characters that no URI has.

    """
    if "${{" in uri:
        raise UsageError("the uri has a substitution that could not be resolved")
    if _NO_URI_CHARACTER.search(uri):
        raise UsageError("the uri has blanks, control characters or backslashes")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        # What the library says of it has the user and the password in it.
        raise UsageError("this is no uri: its host or its port is not valid") from None
    if parts.scheme not in ("http", "https"):
        if not parts.scheme:
            raise UsageError("the uri does not begin with http:// or https://")
        raise UsageError(f"only http and https are fetched, not {parts.scheme}:")
    if not parts.hostname or port == 0:
        raise UsageError("the uri names no host")
    return parts


def ascii_host(host: str) -> str:
    """Return the name of a host as it is asked for: an international one in ASCII.

    Raises:
        UsageError: no host can have it.

    """
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError as error:
        raise UsageError(f"{host!r} is no host name: {error}") from None


def host_of(uri: str) -> str:
    """Return the host and port that `uri` is asked from, in lower case: limits count by it."""
    parts = check_uri(uri)
    standard = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.hostname}:{parts.port or standard}"


def is_loopback(host: str) -> bool:
    """Return whether a host (with or without port) is this machine, where plain http is no risk."""
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    else:
        name = host if host.count(":") > 1 else host.partition(":")[0]
    return name in ("localhost", "::1") or _LOOPBACK.fullmatch(name) is not None


def redact(uri: str) -> str:
    """Return `uri` as it may be shown: without user, password, and parameters that log in."""
    before, _, after = uri.rpartition("@")
    if "//" not in uri and ":" in before:  # like scp's USER@HOST:PATH, in which no password belongs
        return f"***@{after}"
    try:
        parts = urlsplit(uri)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        # All up to the last @ goes, as nothing says where the host begins.
        scheme, slashes, rest = uri.partition("//")
        _, at, rest = rest.rpartition("@")
        return f"{scheme}{slashes}{at and '***@'}{rest}".partition("?")[0]
    _, at, host = parts.netloc.rpartition("@")
    netloc = f"***@{host}" if at else parts.netloc
    query = parts.query
    if any(_SECRET_PARAMETER.search(name) for name, _ in pairs):
        shown = [(name, "***" if _SECRET_PARAMETER.search(name) else text) for name, text in pairs]
        query = urlencode(shown, safe="*")
    if (netloc, query) == (parts.netloc, parts.query):
        return uri
    return urlunsplit(parts._replace(netloc=netloc, query=query))


def redact_text(text: str) -> str:
    """Return a text as it may be shown, with each URL in it as `redact` has it."""
    return _URL.sub(lambda found: redact(found[0]), text)


def secret_of(text: str) -> str | None:
    """Return which secret a text has that is a URL or has one in it, in words; None if it has none."""
    for found in _URL.finditer(text):
        try:
            parts = urlsplit(found[0])
            names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        except ValueError:
            return "a URL that nobody can take apart" if "@" in found[0] else None
        if "@" in parts.netloc:
            return "a user or a password"
        if secret := next(filter(_SECRET_PARAMETER.search, names), None):
            return f"the parameter {secret[:40]}"
    return None


def is_secret_name(name: str) -> bool:
    """Return whether a variable of this name holds a secret, as people name them."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_")
    return _SECRET_WORDS.search(words.upper()) is not None


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Return how many seconds a Retry-After header asks to wait; None if it says nothing.

    `now` is the time in seconds since 1970, as the header may hold a date.
    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    if value is None:
        return None
    if seconds := _SECONDS.fullmatch(value.strip()):
        return float(seconds[0])
    from email.utils import parsedate_to_datetime  # imports much, for what is rare

    try:
        when = parsedate_to_datetime(value)
        moment = when.replace(tzinfo=when.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment - now)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The content of a Content-Range header; None for what it leaves open."""

    first: int | None = None
    """The position of the first byte that comes."""
    whole: int | None = None
    """The size of the whole file in bytes."""
    end: int | None = None
    """The position behind the last byte that comes."""

    @classmethod
    def parse(cls, value: str | None) -> ContentRange:
        """Read the header, which may be missing or nonsense.

        https://www.rfc-editor.org/rfc/rfc9110#field.content-range
        """
        match = _CONTENT_RANGE.fullmatch(value or "")
        if match is None:
            return cls()
        first, last, whole = (None if text is None else int(text) for text in match.groups())
        return cls(first, whole, None if last is None else last + 1)
