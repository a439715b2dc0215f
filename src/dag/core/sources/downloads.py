"""What a build fetches, named by content: `fetch` steps → downloads, each wanted once.

The cache's names are those that melange's own `fetch` step looks for: `sha256:HEX` if the step has
`expected-sha256`, else `sha512:HEX`
(https://github.com/chainguard-dev/melange/blob/v0.56.0/pkg/build/pipelines/fetch.yaml).
Definitions are untrusted: nothing but lower-case hex of the right length becomes part of a path,
and nothing but http and https is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from dag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dag.core.package.model import Fetch

HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")
_NAME = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_SECRET_PARAMETER = re.compile(r"token|key|secret|sig|passw|auth|credential", re.IGNORECASE)
_NO_URI_CHARACTER = re.compile(r"[\x00-\x20\x7f\\]")
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/(?:([0-9]{1,18})|\*)")
MAX_REDIRECTS = 10


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a step is written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A checksum that was checked to be one: safe as a file's name."""

    algorithm: str
    hex: str

    @property
    def name(self) -> str:
        """The file's name in the cache: `sha256:…`."""
        return f"{self.algorithm}:{self.hex}"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def parse(cls, algorithm: str, text: str) -> Digest:
        """Check a checksum as a definition has it.

        Raises:
            UsageError: it is not lower-case hex of the algorithm's length. Upper case is refused
                because melange compares the text with what sha256sum prints, and would fail.

        """
        length = HEX_LENGTHS[algorithm]
        if len(text) != length or not _HEX.fullmatch(text):
            shown = text if len(text) <= length + 8 else f"{text[:length]}…"
            upper = " (upper case is not what sha256sum prints)" if text != text.lower() else ""
            raise UsageError(
                f"expected-{algorithm} must be {length} lower-case hex digits, not {shown!r}{upper}"
            )
        return cls(algorithm, text)


def is_cache_name(name: str) -> bool:
    """Say whether `name` is one that a verified file has in the cache."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """Why a source cannot be had, or what was wrong with one: shown as `place: uri: message`."""

    place: Place
    uri: str
    """Redacted."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.uri, self.message) if part)


@dataclass(frozen=True, slots=True)
class Download:
    """One file: the digests that it must have, and the URIs that are said to have it."""

    digests: tuple[Digest, ...]
    uris: tuple[str, ...]
    places: tuple[Place, ...] = field(compare=False)
    """One for each step that names it."""
    origins: tuple[Place, ...] = field(compare=False)
    """For each URI the first step that names it."""

    @property
    def name(self) -> str:
        """The first of the names that it gets in the cache."""
        return self.digests[0].name

    @property
    def key(self) -> str:
        """What tells it apart: two that contradict each other may have one name."""
        return " ".join(digest.name for digest in self.digests)


def downloads(steps: Iterable[Fetch]) -> tuple[list[Download], list[SourceProblem]]:
    """Check the steps and bring those that want the same bytes together.

    Steps with the same first digest are one download, unless their second digests contradict
    each other: then each is tried, and at most one can be right.
    """
    found: dict[str, list[Download]] = {}
    problems: list[SourceProblem] = []
    for step in steps:
        try:
            wanted = _wanted(step)
        except UsageError as error:
            place = Place(step.file, step.line)
            problems.append(SourceProblem(place, redact(step.uri), error.message))
            continue
        same_name = found.setdefault(wanted.name, [])
        for index, known in enumerate(same_name):
            if (merged := _merged(known, wanted)) is not None:
                same_name[index] = merged
                break
        else:
            same_name.append(wanted)
    return [download for group in found.values() for download in group], problems


def named(steps: Iterable[Fetch]) -> set[str]:
    """The names in the cache that steps have a digest for, whether or not they can be fetched."""
    names = {
        f"{algorithm}:{text}"
        for step in steps
        for algorithm, text in (("sha256", step.sha256), ("sha512", step.sha512))
    }
    return set(filter(is_cache_name, names))


def _wanted(step: Fetch) -> Download:
    if not step.uri:
        raise UsageError("fetch has no uri")
    check_uri(step.uri)
    given = (("sha256", step.sha256), ("sha512", step.sha512))
    digests = tuple(Digest.parse(algorithm, text) for algorithm, text in given if text)
    if not digests:
        why = "expected-none" if step.expected_none else "no expected-sha256 and no expected-sha512"
        raise UsageError(f"{why}: without a checksum nothing can be cached")
    place = Place(step.file, step.line)
    return Download(digests, (step.uri,), (place,), (place,))


def _merged(known: Download, new: Download) -> Download | None:
    digests = {digest.algorithm: digest for digest in known.digests}
    for digest in new.digests:
        if digests.setdefault(digest.algorithm, digest) != digest:
            return None
    more = new.uris[0] not in known.uris
    return Download(
        tuple(digests[algorithm] for algorithm in HEX_LENGTHS if algorithm in digests),
        known.uris + new.uris if more else known.uris,
        known.places + new.places,
        known.origins + new.origins if more else known.origins,
    )


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
        raise UsageError("this is no uri: its host or its port is none") from None
    if parts.scheme not in ("http", "https"):
        scheme = f"{parts.scheme}:" if parts.scheme else "no scheme"
        raise UsageError(f"only http and https are fetched, not {scheme}")
    if not parts.hostname or port == 0:
        raise UsageError("the uri names no host")
    return parts


def host_of(uri: str) -> str:
    """Host and port that `uri` is asked from, lower case: what the per-host limit counts by."""
    parts = check_uri(uri)
    standard = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.hostname}:{parts.port or standard}"


def redact(uri: str) -> str:
    """Give `uri` as it may be shown: without user, password, and parameters that sign or log in."""
    try:
        parts = urlsplit(uri)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        # All up to the last @, as nothing says where the host begins.
        return re.sub(r"//.*@", "//***@", uri, flags=re.DOTALL).partition("?")[0]
    _, at, host = parts.netloc.rpartition("@")
    netloc = f"***@{host}" if at else parts.netloc
    query = parts.query
    if any(_SECRET_PARAMETER.search(name) for name, _ in pairs):
        shown = [(name, "***" if _SECRET_PARAMETER.search(name) else text) for name, text in pairs]
        query = urlencode(shown, safe="*")
    if (netloc, query) == (parts.netloc, parts.query):
        return uri
    return urlunsplit(parts._replace(netloc=netloc, query=query))


def mirror_uris(mirrors: Sequence[str], download: Download) -> tuple[str, ...]:
    """Where mirrors would have a file: they are asked by digest, like a cache that is served."""
    return tuple(
        f"{mirror.rstrip('/')}/{quote(digest.name, safe=':')}"
        for mirror in mirrors
        for digest in download.digests
    )


def interleaved(hosts: Sequence[str]) -> list[int]:
    """Order indices so that hosts take turns: a slow one then does not stand before the others."""
    turns: dict[str, int] = {}
    keyed = []
    for index, host in enumerate(hosts):
        turns[host] = turns.get(host, -1) + 1
        keyed.append((turns[host], index))
    return [index for _, index in sorted(keyed)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long to go on with a URI whose failures may heal. Times in seconds."""

    attempts: int = 5
    """Attempts in a row that bring not one byte."""
    attempts_in_all: int = 100
    """Whatever they bring: bounds a server that resets after every byte."""
    first: float = 0.5
    longest: float = 30.0
    longest_asked: float = 120.0
    """A `Retry-After` beyond this is not waited for."""

    def pause(self, failures: int, asked: float | None) -> float | None:
        """Say how long to wait after `failures` fruitless attempts in a row; None: give up."""
        if failures >= self.attempts:
            return None
        if asked is not None:
            return asked if asked <= self.longest_asked else None
        return min(self.longest, self.first * 2 ** (failures - 1)) if failures else 0.0


def may_heal(status: int) -> bool:
    """Say whether asking again may bring something else than this HTTP status."""
    return status in (408, 425, 429) or status >= 500


def retry_after(value: str | None, now: float) -> float | None:
    """Read a Retry-After header, in seconds from `now` (seconds since 1970).

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
        moment = when.replace(tzinfo=when.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment - now)


def content_range(value: str | None) -> tuple[int | None, int | None]:
    """Read a Content-Range header: the first byte and the size of the whole, where it says so.

    https://www.rfc-editor.org/rfc/rfc9110#field.content-range
    """
    match = _CONTENT_RANGE.fullmatch(value or "")
    if match is None:
        return None, None
    first, whole = match.groups()
    return None if first is None else int(first), None if whole is None else int(whole)


class Watcher(Protocol):
    """Who wants to know how the work goes on. Sizes in bytes; `key` tells items apart."""

    def begin(self, key: str, label: str) -> None:
        """Work on an item begins; `label` is fit to be shown."""

    def advance(self, key: str, done: int, total: int | None) -> None:
        """So much of the item is here."""

    def end(self, key: str, *, ok: bool) -> None:
        """The item is done, or failed."""

    def note(self, text: str) -> None:
        """Say something that a reader of the output should know."""
