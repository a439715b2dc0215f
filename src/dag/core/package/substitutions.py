"""Variables (`${{…}}`), `var-transforms` and `if`, as melange evaluates them.

melange substitutes twice: first a plain replacement of the exact text `${{package.name}}` and the
like over the whole definition (`Replacer`), then expressions with a scope (`substitute`).
Source of the semantics: https://pkg.go.dev/chainguard.dev/melange@v0.56.0/pkg/config,
…/pkg/build (NewSubstitutionMap, MutateWith) and …/pkg/cond.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_REFERENCE = re.compile(r"\$\{\{[ \t\n\r]*([A-Za-z0-9._-]*)[ \t\n\r]*(\}\})?")
_EXACT = re.compile(r"\$\{\{[^{}]*\}\}")
MAX_DEPTH = 100
MAX_STEPS = 10_000
MAX_TEXT = 1024 * 1024

Lookup = Callable[[str], str]


class Unresolvable(ValueError):
    """An expression that melange would refuse; the message says why."""

    def __init__(self, what: str, fix: str = "") -> None:
        """Take what is wrong, and how to mend it if that is known better than where it stands."""
        super().__init__(what)
        self.fix = fix


def substitute(text: str, lookup: Lookup) -> str:
    """Return `text` with each `${{ name }}` replaced by `lookup(name)`.

    Raises:
        Unresolvable: a reference is not closed, or `lookup` does not know the name.

    """
    if "${{" not in text:
        return text

    def replacement(match: re.Match[str]) -> str:
        name, closed = match.groups()
        if not name:
            raise Unresolvable(f"a variable in {text[:60]!r} has no name")
        if not closed:
            raise Unresolvable(f"the reference ${{{{{name} is not closed by }}}}")
        return lookup(name)

    result = _REFERENCE.sub(replacement, text)
    if len(result) > MAX_TEXT:
        raise Unresolvable("the variables make more than a megabyte of text")
    return result


class Replacer:
    """A replacement of exact references: one pass, no white space, unknown ones are left alone."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """Take the variables by name."""
        self._values = {f"${{{{{name}}}}}": value for name, value in values.items()}

    def __call__(self, text: str) -> str:
        """Return `text` with the references replaced that are known."""
        if "${{" not in text:
            return text
        return _EXACT.sub(lambda match: self._values.get(match[0], match[0]), text)


def lookup_in(values: Mapping[str, str]) -> Lookup:
    """Return a lookup that gives the values as they are, whatever they refer to."""

    def lookup(name: str) -> str:
        if name not in values:
            raise Unresolvable(f"the variable {name} is not defined")
        return values[name]

    return lookup


class Scope:
    """Variables by name; values that refer to others are resolved when they are asked for."""

    def __init__(self, values: Mapping[str, str], parent: Scope | None = None) -> None:
        """Take the variables, and the scope that has those that these do not name."""
        self._raw = values
        self._parent = parent
        self._done: dict[str, str] = {}
        self._open: set[str] = set()
        self._circles = 0
        self._steps = 0

    def __call__(self, name: str) -> str:
        """Return the value of `name`.

        Raises:
            Unresolvable: nothing defines `name`, or values nest too deeply.

        """
        done = self._done.get(name)
        if done is not None:
            return done
        raw = self._raw.get(name)
        if raw is None or name in self._open:
            self._circles += raw is not None
            # A value that names itself (`foo: ${{inputs.foo}}`) means the one of the caller, if that
            # has one; else it stays as it is written.
            if self._parent is not None and (raw is None or self._parent.knows(name)):
                return self._parent(name)
            if raw is not None:
                return raw
            raise Unresolvable(f"the variable {name} is not defined")
        if "${{" not in raw:
            return raw
        self._steps += 1
        if len(self._open) > MAX_DEPTH or self._steps > MAX_STEPS:
            raise Unresolvable(f"variables refer to each other too deeply, at {name}")
        circles = self._circles
        self._open.add(name)
        try:
            value = substitute(raw, self)
        finally:
            self._open.discard(name)
        if circles == self._circles:
            self._done[name] = value
        return value

    def knows(self, name: str) -> bool:
        """Return whether anything defines `name`."""
        return name in self._raw or (self._parent is not None and self._parent.knows(name))

    def inner(self, given: Mapping[str, str], defaults: Mapping[str, str | None]) -> Scope:
        """Return the scope inside of a pipeline that gets `given` and declares `defaults`.

        The caller's variables resolve what is given. A name that they do not know may be another
        input, so it stays for the new scope to resolve.
        """
        if not given and not defaults:
            return self
        inputs: dict[str, str] = {}
        for name, value in defaults.items():
            if not given.get(name):
                inputs[f"inputs.{name}"] = value or ""
        for name, value in given.items():
            if value or name not in defaults:
                try:
                    inputs[f"inputs.{name}"] = substitute(value, self)
                except Unresolvable:
                    inputs[f"inputs.{name}"] = value
        return Scope(inputs, self)


def shown(text: str) -> str:
    """Return the beginning of a text of a definition as Python would write it, for a message."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


SHOWN = 200
"""How many characters of a text a message quotes."""


def quote(text: str) -> str:
    """Return `text` quoted as Go's strconv.Quote does it."""
    if text.isprintable() and not _QUOTED.keys() & {*text}:
        return f'"{text}"'
    return '"' + "".join(map(_quote_character, text)) + '"'


_QUOTED = dict(zip('\\"\a\b\f\n\r\t\v', (rf"\{c}" for c in '\\"abfnrtv'), strict=True))


def _quote_character(character: str) -> str:
    if known := _QUOTED.get(character):
        return known
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def condition(text: str, lookup: Lookup, *, judge: bool = True) -> bool:
    """Return whether an `if` holds; variables are replaced by their quoted values first.

    Without `judge`, only that replacement is tried, and False is returned.

    Raises:
        Unresolvable: a variable is not defined, or this is not a condition.

    """
    resolved = substitute(text, lambda name: quote(lookup(name)))
    return judge and evaluate(resolved)


_SPACE = " \t\n\r"
_QUOTES = "put quotes around text, also around ${{package.name}} and the like, which are text here"
_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t"}


def evaluate(expression: str) -> bool:
    """Return the value of comparisons of strings: `==`, `!=`, `&&`, `||` (left to right), groups.

    A variable that is still there counts as an empty string.

    Raises:
        Unresolvable: this is not a condition.

    """
    parser = _Parser(expression)
    result = parser.expression(0)
    parser.skip()
    if parser.position != len(expression):
        raise Unresolvable(
            f"there is unexpected text at position {parser.position} of {shown(expression)}"
        )
    return result


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def skip(self) -> None:
        while self.position < len(self.text) and self.text[self.position] in _SPACE:
            self.position += 1

    def take(self, *wanted: str) -> str | None:
        self.skip()
        for word in wanted:
            if self.text.startswith(word, self.position):
                self.position += len(word)
                return word
        return None

    def failure(self, expected: str, fix: str = "") -> Unresolvable:
        where = f"position {self.position} of {shown(self.text)}"
        return Unresolvable(f"{expected} is expected at {where}", fix)

    def expression(self, depth: int) -> bool:
        if depth > MAX_DEPTH:
            raise self.failure("an expression with fewer parentheses")
        result = self.atom(depth)
        while operator := self.take("&&", "||"):
            right = self.atom(depth)
            result = (result and right) if operator == "&&" else (result or right)
        return result

    def atom(self, depth: int) -> bool:
        if self.take("("):
            result = self.expression(depth + 1)
            if not self.take(")"):
                raise self.failure("')'")
            return result
        left = self.value()
        operator = self.take("==", "!=")
        if operator is None:
            raise self.failure("'==' or '!='")
        return (left == self.value()) == (operator == "==")

    def value(self) -> str:
        if self.take("${{"):
            match = _REFERENCE.match(self.text, self.position - 3)
            if match is None or not match[1] or not match[2]:
                raise self.failure("a variable")
            self.position = match.end()
            return ""
        mark = self.take("'", '"')
        if mark is None:
            raise self.failure("a quoted string or a variable", _QUOTES)
        characters: list[str] = []
        while self.position < len(self.text):
            character = self.text[self.position]
            self.position += 1
            if character == mark:
                return "".join(characters)
            if character == "\\" and self.position < len(self.text):
                escaped = self.text[self.position]
                self.position += 1
                character = _ESCAPES.get(escaped, "\\" + escaped)
            characters.append(character)
        raise self.failure("the end of a string")
