"""The functions of GNU make that only compute, and how references are taken apart.

The semantics are those of https://www.gnu.org/software/make/manual/html_node/Functions.html; tests
compare with make itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol

UNKNOWN = "\ue0ff"
"""Stands for text that is only known when make runs; no Makefile contains it."""
STEM = "\ue0fe"
"""Stands for a package's name where a rule is read that is one for all packages."""
VARIES = "\ue0fd"
"""Stands for what a function makes of STEM: another text for each package, perhaps none."""
MARKS = (UNKNOWN, VARIES, STEM)


class Expander(Protocol):
    """What functions need of the Makefile that they stand in."""

    def expand(self, text: str, local: Mapping[str, str], depth: int = 0) -> str:
        """Expand all references in `text`."""

    def value(self, reference: str, local: Mapping[str, str], depth: int) -> str:
        """Return the value of one reference, given as what stands between its brackets."""

    def read(self, text: str) -> None:
        """Take the assignments and rules of `text` as part of the Makefile."""


Function = Callable[[Expander, str, Mapping[str, str], int], str]


def mark_of(*texts: str) -> str:
    """Return what a function makes of texts that are not all known; empty if they are."""
    if any(UNKNOWN in text for text in texts):
        return UNKNOWN
    return VARIES if any(VARIES in text or STEM in text for text in texts) else ""


def _pure_function(compute: Callable[..., str], count: int) -> Function:
    def function(make: Expander, rest: str, local: Mapping[str, str], depth: int) -> str:
        texts = [make.expand(one, local, depth) for one in arguments(rest, count)]
        if len(texts) != count:
            return UNKNOWN
        return mark_of(*texts) or compute(*texts)

    return function


def _if(make: Expander, rest: str, local: Mapping[str, str], depth: int) -> str:
    condition, *branches = arguments(rest, 3)
    truth = make.expand(condition.strip(), local, depth)  # a blank that comes of it is true
    values = [make.expand(branch, local, depth) for branch in (*branches, "", "")[:2]]
    if truth.replace(UNKNOWN, "").replace(VARIES, ""):
        return values[0]
    if truth:
        return values[0] if values[0] == values[1] else mark_of(truth)
    return values[1]


def _or(make: Expander, rest: str, local: Mapping[str, str], depth: int) -> str:
    for one in arguments(rest):
        value = make.expand(one.strip(), local, depth)
        if value:
            return value
    return ""


def _and(make: Expander, rest: str, local: Mapping[str, str], depth: int) -> str:
    value = ""
    for one in arguments(rest):
        value = make.expand(one.strip(), local, depth)
        if not value or mark_of(value):
            break
    return value


def _foreach(make: Expander, rest: str, local: Mapping[str, str], depth: int) -> str:
    parts = arguments(rest, 3)
    if len(parts) != 3:
        return UNKNOWN
    name, words = (make.expand(one, local, depth).strip() for one in parts[:2])
    if mark := mark_of(words):
        return mark
    return " ".join(make.expand(parts[2], {**local, name: word}, depth) for word in words.split())


def _call(make: Expander, rest: str, local: Mapping[str, str], depth: int) -> str:
    name, *parts = arguments(rest)
    values = [make.expand(one, local, depth) for one in parts]
    given = {str(number): value for number, value in enumerate(values, start=1)}
    kept = {key: value for key, value in local.items() if not key.isdigit()}
    return make.value(name.strip(), {**kept, **given}, depth)


def _eval(make: Expander, rest: str, local: Mapping[str, str], depth: int) -> str:
    make.read(make.expand(rest, local, depth))
    return ""


def _filter(patterns: str, text: str) -> str:
    return " ".join(word for word in text.split() if matches(patterns, word))


def _filter_out(patterns: str, text: str) -> str:
    return " ".join(word for word in text.split() if not matches(patterns, word))


def _word(number: str, text: str) -> str:
    words = text.split()
    position = int(number) if number.strip().isdecimal() else 0
    return words[position - 1] if 0 < position <= len(words) else ""


def _words_of(text: str, start: int, end: int | None) -> str:
    return " ".join(text.split()[start:end])


def _directory(word: str) -> str:
    return word[: word.rindex("/") + 1] if "/" in word else "./"


def _without_directory(word: str) -> str:
    return word[word.rfind("/") + 1 :]


def _every_word(text: str, change: Callable[[str], str]) -> str:
    """Return the words of `text`, each changed; `notdir` and `basename` leave empty ones in."""
    return " ".join(map(change, text.split()))


def _suffix_at(word: str) -> int:
    dot = word.rfind(".")
    return dot if dot > word.rfind("/") else len(word)


def replace_words(pattern: str, replacement: str, text: str) -> str:
    """Return `text` with the replacement in the place of words that `pattern` matches: `patsubst`.

    A word of which an empty replacement makes nothing goes with the blank behind it. Without a `%`
    in the pattern all blanks stay as they are, and an empty pattern matches the end of a text that
    ends with no word (function.c of make 4.3: patsubst_expand_pat, subst_expand).
    """
    start, percent, end = pattern.partition("%")
    if not pattern:
        return text if text and not text[-1].isspace() else text + replacement
    if not percent:
        return re.sub(rf"(?<!\S){re.escape(pattern)}(?!\S)", lambda _: replacement, text)
    found = []
    for word in text.split():
        stem = _stem(start, end, word)
        if stem is None:
            found.append(word)
        elif replacement:
            found.append(replacement.replace("%", stem, 1))
    return " ".join(found)


def _per_word(change: Callable[[str], str]) -> Function:
    return _pure_function(lambda text: _each_word(text, change), 1)


FUNCTIONS: Mapping[str, Function] = {
    "if": _if,
    "or": _or,
    "and": _and,
    "foreach": _foreach,
    "call": _call,
    "eval": _eval,
    "subst": _pure_function(
        lambda old, new, text: text.replace(old, new) if old else text + new, 3
    ),
    "patsubst": _pure_function(replace_words, 3),
    "strip": _per_word(lambda word: word),
    "findstring": _pure_function(lambda part, text: part if part in text else "", 2),
    "filter": _pure_function(_filter, 2),
    "filter-out": _pure_function(_filter_out, 2),
    "sort": _pure_function(lambda text: " ".join(sorted(set(text.split()))), 1),
    "word": _pure_function(_word, 2),
    "words": _pure_function(lambda text: str(len(text.split())), 1),
    "firstword": _pure_function(lambda text: _words_of(text, 0, 1), 1),
    "lastword": _pure_function(lambda text: _words_of(text, -1, None), 1),
    "dir": _per_word(_directory),
    "notdir": _pure_function(lambda text: _every_word(text, _without_directory), 1),
    "suffix": _per_word(lambda word: word[_suffix_at(word) :]),
    "basename": _pure_function(
        lambda text: _every_word(text, lambda word: word[: _suffix_at(word)]), 1
    ),
    "addsuffix": _pure_function(lambda end, text: _each_word(text, lambda word: word + end), 2),
    "addprefix": _pure_function(lambda start, text: _each_word(text, lambda word: start + word), 2),
}
SILENT = frozenset({"error", "warning", "info"})


def _each_word(text: str, change: Callable[[str], str]) -> str:
    """Return the words of `text`, each changed; those that become empty are left out."""
    return " ".join(filter(None, map(change, text.split())))


def _stem(start: str, end: str, word: str) -> str | None:
    long_enough = len(word) >= len(start) + len(end)
    if long_enough and word.startswith(start) and word.endswith(end):
        return word[len(start) : len(word) - len(end)]
    return None


def matches(patterns: str, word: str) -> bool:
    """Return whether one of the patterns, with spaces between them, matches `word`."""
    for pattern in patterns.split():
        start, percent, end = pattern.partition("%")
        if word == pattern or (percent and _stem(start, end, word) is not None):
            return True
    return False


def reference_at(text: str, dollar: int) -> tuple[str, int]:
    """Take the reference at `dollar` apart: what stands between its brackets, and where it ends."""
    opening = text[dollar + 1 : dollar + 2]
    if opening not in ("(", "{"):
        return opening, dollar + 1 + len(opening)
    closing = ")" if opening == "(" else "}"
    depth = 0
    for position in range(dollar + 1, len(text)):
        depth += (text[position] == opening) - (text[position] == closing)
        if not depth:
            return text[dollar + 2 : position], position + 1
    return text[dollar + 2 :], len(text)


def arguments(text: str, most: int = 0) -> list[str]:
    """Split at commas that stand in no brackets; with `most`, the last one keeps its commas."""
    parts: list[str] = []
    depth = start = 0
    for position, character in enumerate(text):
        depth += (character in "({") - (character in ")}")
        if character == "," and not depth and len(parts) + 1 != most:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]
