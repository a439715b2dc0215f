"""The files that a build fetches, named by content: `fetch` steps → downloads, each wanted once.

The cache's names are those that melange's own `fetch` step looks for: `sha256:HEX` if the step has
`expected-sha256`, else `sha512:HEX`
(https://github.com/chainguard-dev/melange/blob/v0.56.0/pkg/build/pipelines/fetch.yaml).
Definitions are untrusted: nothing but lower-case hex of the right length becomes part of a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from msgspec import Struct

from dag.core.web import check_uri, redact
from dag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dag.core.package.model import Fetch

HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")
_NAME = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class StepPlace(Struct, frozen=True, order=True):
    """The file and the line in which a step is written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class SourceDigest(Struct, frozen=True, order=True):
    """A checksum that was checked to be one: safe as a file's name."""

    algorithm: str
    hex: str

    @property
    def name(self) -> str:
        """Return the file's name in the cache: `sha256:…`."""
        return f"{self.algorithm}:{self.hex}"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def parse(cls, algorithm: str, text: str) -> SourceDigest:
        """Return a checksum that a definition has, once it is checked.

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
    """Return whether `name` is one that a verified file has in the cache."""
    return _NAME.fullmatch(name) is not None


class SourceProblem(Struct, frozen=True):
    """A reason why a source cannot be had, or had to be had anew: `place: uri: message`."""

    place: StepPlace
    uri: str
    """The URI, redacted."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.uri, self.message) if part)


class SourceFailure(Struct, frozen=True):
    """A source that cannot be had: it is one failure, however many steps need it."""

    places: tuple[StepPlace, ...]
    """The steps that need it."""
    problems: tuple[SourceProblem, ...]
    """The reasons: one for each URI that was tried."""

    def lines(self) -> list[str]:
        """Return it as a line for each reason, and one for the other steps that need it."""
        first, *others = self.problems
        found = [str(first), *(f"  also {one.uri}: {one.message}" for one in others)]
        if more := [str(place) for place in self.places if place != first.place]:
            found.append(f"  also needed by {', '.join(more)}")
        return found


def failures_of(problems: Iterable[SourceProblem]) -> list[SourceFailure]:
    """Return the failures of sources, each of which has the same URI and the same message."""
    found: dict[tuple[str, str], list[SourceProblem]] = {}
    for problem in problems:
        found.setdefault((problem.uri, problem.message), []).append(problem)
    return [
        SourceFailure(tuple(sorted({one.place for one in same})), (min(same, key=_place_of),))
        for same in found.values()
    ]


def _place_of(problem: SourceProblem) -> StepPlace:
    return problem.place


@dataclass(frozen=True, slots=True)
class Download:
    """One file: the digests that it must have, and the URIs that are said to have it."""

    digests: tuple[SourceDigest, ...]
    uris: tuple[str, ...]
    places: tuple[StepPlace, ...] = field(compare=False)
    """The place of each step that names it."""
    origins: tuple[StepPlace, ...] = field(compare=False)
    """The place of the first step that names each URI."""

    @property
    def name(self) -> str:
        """Return the first of the names that it gets in the cache."""
        return self.digests[0].name

    @property
    def key(self) -> str:
        """Return what tells it apart: two that contradict each other may have one name."""
        return " ".join(digest.name for digest in self.digests)


def downloads_of(steps: Iterable[Fetch]) -> tuple[list[Download], list[SourceProblem]]:
    """Check the steps, and return what they want, each file once, and what is wrong.

    Steps with the same first digest are one download, unless their second digests contradict
    each other: then each is tried, and at most one can be right.
    """
    found: dict[str, list[Download]] = {}
    problems: list[SourceProblem] = []
    for step in steps:
        try:
            wanted = _download_of(step)
        except UsageError as error:
            place = StepPlace(step.file, step.line)
            problems.append(SourceProblem(place, redact(step.uri), error.message))
            continue
        same_name = found.setdefault(wanted.name, [])
        for index, known in enumerate(same_name):
            if (merged := _merge(known, wanted)) is not None:
                same_name[index] = merged
                break
        else:
            same_name.append(wanted)
    return [download for group in found.values() for download in group], problems


def cache_names(steps: Iterable[Fetch]) -> set[str]:
    """Return the names in the cache of all files that steps have a digest for, fetched or not."""
    names = {
        f"{algorithm}:{text}"
        for step in steps
        for algorithm, text in (("sha256", step.sha256), ("sha512", step.sha512))
    }
    return set(filter(is_cache_name, names))


def _download_of(step: Fetch) -> Download:
    if not step.uri:
        raise UsageError("fetch has no uri")
    check_uri(step.uri)
    given = (("sha256", step.sha256), ("sha512", step.sha512))
    digests = tuple(SourceDigest.parse(algorithm, text) for algorithm, text in given if text)
    if not digests:
        why = "expected-none" if step.expected_none else "no expected-sha256 and no expected-sha512"
        raise UsageError(f"{why}: without a checksum nothing can be cached")
    place = StepPlace(step.file, step.line)
    return Download(digests, (step.uri,), (place,), (place,))


def _merge(known: Download, new: Download) -> Download | None:
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


def mirror_uris(mirrors: Sequence[str], download: Download) -> tuple[str, ...]:
    """Return where mirrors would have a file: they serve it by its name in the cache."""
    return tuple(
        f"{mirror.rstrip('/')}/{quote(digest.name, safe=':')}"
        for mirror in mirrors
        for digest in download.digests
    )


def order_in_turns(hosts: Sequence[str]) -> list[int]:
    """Return indices in an order in which hosts take turns: a slow one does not hold up the others."""
    turns: dict[str, int] = {}
    keyed = []
    for index, host in enumerate(hosts):
        turns[host] = turns.get(host, -1) + 1
        keyed.append((turns[host], index))
    return [index for _, index in sorted(keyed)]


class Watcher(Protocol):
    """Something that wants to know how the work goes on. Sizes in bytes; `key` tells items apart."""

    def begin(self, key: str, label: str) -> None:
        """Hear that work on an item begins; `label` is fit to be shown."""

    def advance(self, key: str, done: int, total: int | None) -> None:
        """Hear how much of the item is here, and how much there is in all, if that is known."""

    def end(self, key: str, *, ok: bool) -> None:
        """Hear that the item is done, or has failed."""

    def note(self, text: str) -> None:
        """Hear something that a reader of the output should know."""
