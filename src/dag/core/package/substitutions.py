"""Variables (`${{…}}`), `var-transforms` and `if`, as melange evaluates them.

melange substitutes twice: first a plain replacement of the exact text `${{package.name}}` and the
like over the whole definition (`Replacer`), then expressions with a scope (`substitute`).
Source of the semantics: https://pkg.go.dev/chainguard.dev/melange@v0.56.0/pkg/config,
…/pkg/build (NewSubstitutionMap, MutateWith) and …/pkg/cond.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache

_REFERENCE = re.compile(r"\$\{\{[ \t\n\r]*([A-Za-z0-9._-]*)[ \t\n\r]*(\}\})?")
_EXACT = re.compile(r"\$\{\{[^{}]*\}\}")
MAX_DEPTH = 100
MAX_STEPS = 10_000
MAX_TEXT = 1024 * 1024

Lookup = Callable[[str], str]


class Unresolvable(ValueError):
    """An expression that melange would refuse; the message says why."""


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
            # A value that names itself (`foo: ${{inputs.foo}}`) means the one of the caller.
            if self._parent is not None:
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

    def inner(self, given: Mapping[str, str], defaults: Mapping[str, str]) -> Scope:
        """Return the scope inside of a pipeline that gets `given` and declares `defaults`.

        The caller's variables resolve what is given. A name that they do not know may be another
        input, so it stays for the new scope to resolve.
        """
        if not given and not defaults:
            return self
        inputs: dict[str, str] = {}
        for name, value in defaults.items():
            if not given.get(name):
                inputs[f"inputs.{name}"] = value
        for name, value in given.items():
            if value or name not in defaults:
                try:
                    inputs[f"inputs.{name}"] = substitute(value, self)
                except Unresolvable:
                    inputs[f"inputs.{name}"] = value
        return Scope(inputs, self)


class Effort:
    """A bound on what the replacements of one definition may cost together."""

    def __init__(self) -> None:
        self._left = _MAX_EFFORT

    def spend(self, steps: int) -> None:
        """Count steps: characters that are searched or written, and instructions of patterns.

        Raises:
            Unresolvable: these are too many.

        """
        self._left -= steps
        if self._left < 0:
            raise Unresolvable("the replacements of this definition are too much work")


_MAX_EFFORT = 1 << 22
"""A few seconds; the most that any of 3,401 definitions takes is a thousandth of that."""
_MATCH_EFFORT = 16
"""What a match costs beside its characters."""


def transform(text: str, match: str, replace: str, effort: Effort | None = None) -> str:
    r"""Return `text` with every `match` (RE2 syntax) replaced by `replace` (`$1`, `${name}`, `$$`).

    Raises:
        Unresolvable: `match` is not a regular expression, or that is too much work.

    """
    # As Go's regexp, this is RE2: the same language, in linear time whatever the pattern.
    import re2  # which few definitions need

    if any(part == r"\C" for part in _REGEX_ESCAPES.findall(match)):
        # A single byte: what RE2 has and Go's regexp leaves out, https://pkg.go.dev/regexp/syntax.
        raise Unresolvable(f"match {shown(match)} is not a regular expression: invalid escape \\C")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_PATTERN
    try:
        pattern = re2.compile(match, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")[:_SHOWN]
        raise Unresolvable(f"match {shown(match)} is not a regular expression: {reason}") from None
    effort = effort or Effort()
    if pattern.programsize * len(text) > _KEPT_PATTERN:
        re2.purge()  # it keeps the latest 128, however large they have become
    effort.spend(pattern.programsize + len(match) + len(text))
    template = _Template(replace, {*range(pattern.groups + 1), *pattern.groupindex})
    parts: list[str] = []
    end = size = 0
    last = -1
    for found in pattern.finditer(text):
        # Go ignores an empty match right after another match; RE2's Python binding does not.
        if found.start() == found.end() == last:
            continue
        expanded = template.expand(found)
        parts += [text[end : found.start()], expanded]
        end = last = found.end()
        size += len(expanded)
        if size > MAX_TEXT:
            raise Unresolvable(f"replacing {shown(match)} makes more than a megabyte of text")
        # To know one match, RE2 may have to look at all that follows it.
        effort.spend(_MATCH_EFFORT + len(expanded) + len(template.parts) + len(text) - end)
    return "".join([*parts, text[end:]])


_KEPT_PATTERN = 1 << 18
"""Instructions of a pattern by characters of a text; what RE2 keeps of a search grows with that."""
_MAX_PATTERN = 64 << 20
"""Bytes; RE2's own limit refuses patterns that Go takes."""
# Between \Q and \E everything is itself.
_REGEX_ESCAPES = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.", re.DOTALL)
# As regexp.Expand has it: https://pkg.go.dev/regexp#Regexp.Expand. `\w` would be wider.
_TEMPLATE = r"\$(?:(\$)|\{([\pL\p{Nd}_]+)\}|([\pL\p{Nd}_]+))"
_GROUP = re.compile(r"0|[1-9][0-9]{0,8}")


@cache
def _template_pattern() -> re.Pattern[str]:
    import re2

    pattern: re.Pattern[str] = re2.compile(_TEMPLATE)
    return pattern


class _Template:
    """What a match is replaced by, taken apart once for all matches."""

    def __init__(self, text: str, groups: Collection[int | str]) -> None:
        """Take the text and the pattern's groups; one that the pattern does not have is empty."""
        self.parts: list[tuple[str, int | str | None]] = []
        """Texts, each with the group that follows it."""
        end = 0
        for found in _template_pattern().finditer(text):
            dollar, braced, plain = found.groups()
            name = braced or plain
            group = int(name) if name and _GROUP.fullmatch(name) else name
            before = text[end : found.start()] + ("$" if dollar else "")
            self.parts.append((before, group if group in groups else None))
            end = found.end()
        self.parts.append((text[end:], None))

    def expand(self, match: re.Match[str]) -> str:
        """Return the text for one match."""
        words: list[str] = []
        for text, group in self.parts:
            words.append(text)
            if group is not None:
                words.append(match[group] or "")
        return "".join(words)


def shown(text: str) -> str:
    """Return the beginning of a text of a definition as Python would write it, for a message."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


_SHOWN = 200
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

    def failure(self, expected: str) -> Unresolvable:
        where = f"position {self.position} of {shown(self.text)}"
        return Unresolvable(f"{expected} is expected at {where}")

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
            raise self.failure("a quoted string or a variable")
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
