"""What can be told of a Makefile's rules without running make: which targets they have, and where it stops.

Only what is certain is told. Where a variable, a function or a file that is not there may bring
rules, or a condition may leave some out, nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dag.core.package.makesource import MakefileText

_UNCERTAIN = re.compile(
    r"^[ ]*(?:define|load|-load|-?include|sinclude)\b|\$[({](?:eval|call|foreach|file|guile)\b"
    r"|^[ ]*\.(?:RECIPEPREFIX|DEFAULT|SUFFIXES)\b",
    re.MULTILINE,
)
"""What may bring rules that the text does not have, or read lines in another way."""
_RULE = re.compile(r"^[ ]*(?P<targets>[^\t #\n:=][^#\n:=]*)::?(?!:?=)", re.MULTILINE)
_OPENS = re.compile(r"[ ]*(?:ifeq|ifneq|ifdef|ifndef)\b")
_CLOSES = re.compile(r"[ ]*endif\b")
_DEFINE = re.compile(r"[ ]*(?:override[ ]+)?define\b")
_ENDEF = re.compile(r"[ ]*endef\b")
_WORD = re.compile(r"[ ]*(?P<word>[^\s#]+)(?:\s|$)")
_DIRECTIVES = re.compile(
    r"-?include|sinclude|ifn?def|ifn?eq|else|endif|define|endef|(?:un)?export|override|private|undefine"
    r"|vpath|-?load"
)


class MakefileTargets(NamedTuple):
    """All targets that a Makefile has rules for."""

    names: frozenset[str]
    patterns: tuple[str, ...]
    """Those with a `%`, which stands for anything."""

    def have(self, target: str) -> bool:
        """Return whether a rule is for this target."""
        return target in self.names or any(fits(one, target) for one in self.patterns)


@dataclass(frozen=True, slots=True)
class Stop:
    """A line at which make stops before it makes anything."""

    line: int
    """The line of the whole text, counted from 1."""
    what: str


def known_targets(text: str) -> MakefileTargets | None:
    """Return the targets of a Makefile; None if its text does not tell all of them."""
    joined = text.replace("\\\n", " ")
    if _UNCERTAIN.search(joined):
        return None
    words = _targets(joined)
    # Shells' patterns are targets, too, if files fit.
    if any(sign in word for word in words for sign in "$*?["):
        return None
    patterns = tuple(sorted(word for word in words if "%" in word))
    return MakefileTargets(frozenset(words.difference(patterns)), patterns)


def find_stop(text: str) -> Stop | None:
    """Return the first line that is none of make's, for which it says "missing separator"."""
    if ".RECIPEPREFIX" in text:
        return None
    for number, line in _unconditional_lines(text):
        word = _WORD.match(line)
        if (
            word is None
            or line.startswith("\t")
            or ":" in line
            or "=" in line
            or "$" in word["word"]
            or _DIRECTIVES.fullmatch(word["word"])
        ):
            continue
        blanks = "begins with blanks, and a recipe must begin with a tab"
        return Stop(number, blanks if line.startswith(" ") else "is no rule and sets no variable")
    return None


def stop_note(source: MakefileText) -> str:
    """Return in words where make stops before it makes anything; empty if nothing says so."""
    stops = [] if (stop := find_stop(source.text)) is None else [stop]
    read = {number for number, _ in _unconditional_lines(source.text)} if source.lacking else set()
    stops += [
        Stop(line, f"includes {name}, which is not there, and no rule makes it")
        for line, name in source.lacking
        if line in read and not _may_make(source.text, name)
    ]
    if not stops:
        return ""
    first = min(stops, key=lambda one: one.line)
    file, line = source.place(first.line)
    return f"{file}:{line}: this line {first.what}, so make will stop there and build nothing"


def _may_make(text: str, name: str) -> bool:
    words = _targets(text.replace("\\\n", " "))
    return any(word == name or "$" in word or fits(word, name) for word in words)


def _targets(joined: str) -> set[str]:
    found = (rule["targets"].removesuffix("&") for rule in _RULE.finditer(joined))
    return {word for words in found for word in words.split()}


def _unconditional_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that make reads in any case, each with what continues it, and its number."""
    depth = defines = 0
    parts: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        parts.append(line.removesuffix("\\"))
        if line.endswith("\\"):
            continue
        first, whole, parts = number - len(parts) + 1, " ".join(parts), []
        if defines:
            defines += bool(_DEFINE.match(whole)) - bool(_ENDEF.match(whole))
        elif _DEFINE.match(whole):
            defines = 1
        elif _OPENS.match(whole):
            depth += 1
        elif _CLOSES.match(whole):
            depth -= 1
        elif depth <= 0:
            yield first, whole


def fits(pattern: str, target: str) -> bool:
    """Return whether a pattern with a `%` stands for a target."""
    before, sign, after = pattern.partition("%")
    return (
        sign != ""
        and len(target) > len(before) + len(after)
        and target.startswith(before)
        and target.endswith(after)
    )
