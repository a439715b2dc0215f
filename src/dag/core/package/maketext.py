"""What a Makefile's text says of its variables and rules, without running make.

Running make on somebody's Makefile runs the `$(shell …)` in it, and the client may have no make. So
the text is evaluated here as far as it is literal: variables, conditionals, and those functions
that only compute. Everything else (`$(shell …)`, `$(wildcard …)`, the environment) becomes UNKNOWN,
which spreads: a word that contains it is not literal. The rules are those of GNU make:
https://www.gnu.org/software/make/manual/make.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dag.core.package.makefunctions import (
    FUNCTIONS,
    MARKS,
    SILENT,
    UNKNOWN,
    arguments,
    each_word,
    mark_of,
    reference_at,
    replace_stem,
)

_MOST_WHILE_READING = 200_000
"""References that are expanded while a Makefile is read: variables can double each other's length."""
_MOST_AT_ONCE = 5_000
"""The same for each text that is expanded afterwards."""
_DEEPEST = 60
_LONGEST = 1 << 18
"""Characters of one value. Longer ones become UNKNOWN, as does what refers to itself."""

_ASSIGNMENT = re.compile(
    r"^(?:(?:override|export|private)\s+)*(?P<name>[^\s:#=?+!$]+)\s*(?P<kind>:{0,3}|[?+!])=\s*(?P<value>.*)$",
    re.DOTALL,
)
_DEFINE = re.compile(r"^(?:override\s+)?define\s+(?P<name>\S+)\s*(?:[:?+]?=\s*)?$")
_CONDITION = re.compile(r"^(?P<word>ifeq|ifneq|ifdef|ifndef)\b\s*(?P<rest>.*)$", re.DOTALL)
_ELSE = re.compile(r"^else\b\s*(?P<rest>.*)$", re.DOTALL)
_ENDIF = re.compile(r"^endif\b")
_QUOTED = re.compile(r"""^(?P<one>"[^"]*"|'[^']*')\s*(?P<two>"[^"]*"|'[^']*')$""")
_CALLS_A_DEFINITION = re.compile(r"^\$[({]eval\s+\$[({]call\s+[^\s,$]+,[^$]*[)}]\s*[)}]$")


@dataclass(frozen=True, slots=True)
class MakeRule:
    """A rule: its targets as they are written, and the lines of its recipe, not yet expanded."""

    targets: str
    recipe: tuple[str, ...]
    definition: str | None = None
    """The `define` that it is part of, so that `$(1)` is an argument of its `$(call …)`."""


@dataclass(slots=True)
class _Variable:
    value: str
    recursive: bool


class MakeText:
    """The variables and rules of a Makefile.

    `given` are the assignments of the command line: they win over those of the text.
    """

    def __init__(self, text: str, given: Mapping[str, str]) -> None:
        self.rules: list[MakeRule] = []
        self._given = given
        self._variables = {"MAKE": _Variable("make", recursive=False)}
        self._variables |= {name: _Variable(one, recursive=False) for name, one in given.items()}
        self._definitions: dict[str, str] = {}
        self._open: set[str] = set()
        """Variables that are being expanded: make refuses one that refers to itself."""
        self._left = _MOST_WHILE_READING
        self._reading = True
        self.read(text.translate(dict.fromkeys(map(ord, MARKS))))
        # One of those per package would be read thousands of times where they are called.
        for name, body in self._definitions.items():
            _Reader(self, name).read(body)
        self._reading = False

    def read(self, text: str) -> None:
        """Take the assignments and rules of `text` as part of the Makefile."""
        _Reader(self, None).read(text)

    def define(self, name: str, body: str) -> None:
        """Take what stands between `define NAME` and `endef`."""
        self._definitions[name] = body
        if name not in self._given:
            self._variables[name] = _Variable(body, recursive=True)

    def assign(self, name: str, kind: str, value: str, *, unsure: bool) -> None:
        """Assign as `name kind= value` does; `unsure`: whether the line counts is not known."""
        before = self._variables.get(name)
        if name in self._given or (kind == "?" and before is not None):
            return
        if unsure or kind == "!":
            kept = f"{before.value} " if before is not None and kind == "+" else ""
            self._variables[name] = _Variable(kept + UNKNOWN, recursive=bool(kept))
        elif kind == "+" and before is not None:
            more = value if before.recursive else self.expand(value, {})
            before.value = f"{before.value} {more}" if before.value else more
        elif ":" in kind:
            self._variables[name] = _Variable(self.expand(value, {}), recursive=False)
        else:
            self._variables[name] = _Variable(value, recursive=True)

    def is_set(self, name: str) -> bool:
        """Return whether `ifdef` finds the variable: it is there, and its text is not empty."""
        return name in self._variables and self._variables[name].value != ""

    def expand(self, text: str, local: Mapping[str, str], depth: int = 0) -> str:
        """Expand all references in `text`; `local` are the automatic variables and arguments."""
        if "$" not in text:
            return text
        if not depth and not self._reading:
            self._left = _MOST_AT_ONCE
        if depth > _DEEPEST or self._left <= 0:
            return UNKNOWN
        parts: list[str] = []
        length = position = 0
        while (dollar := text.find("$", position)) >= 0:
            self._left -= 1
            reference, end = reference_at(text, dollar)
            part = "$" if reference == "$" else self.value(reference, local, depth + 1)
            parts += text[position:dollar], part
            length += dollar - position + len(part)
            if length > _LONGEST or self._left <= 0:
                return UNKNOWN
            position = end
        parts.append(text[position:])
        return "".join(parts)

    def value(self, reference: str, local: Mapping[str, str], depth: int) -> str:
        """Return the value of one reference, given as what stands between its brackets."""
        word, space, rest = reference.partition(" ")
        if space and (function := FUNCTIONS.get(word)):
            return function(self, rest.lstrip(), local, depth)
        if space and word in SILENT:
            return ""
        if space and re.fullmatch(r"[a-z-]+", word):
            return UNKNOWN  # $(shell …), $(wildcard …), and what this does not know
        reference = self.expand(reference, local, depth)
        if mark := mark_of(reference):
            return mark
        name, colon, change = reference.partition(":")
        value = self._variable(name, local, depth)
        if colon and "=" in change:
            if mark := mark_of(value):
                return mark
            pattern, _, replacement = change.partition("=")
            if "%" not in pattern:
                pattern, replacement = f"%{pattern}", f"%{replacement}"
            return each_word(value, lambda word: replace_stem(pattern, replacement, word))
        return value

    def _variable(self, name: str, local: Mapping[str, str], depth: int) -> str:
        if name in local:
            return local[name]
        if (variable := self._variables.get(name)) is not None:
            if not variable.recursive:
                return variable.value
            if name in self._open and not local:
                return UNKNOWN
            self._open.add(name)
            value = self.expand(variable.value, local, depth)
            self._open.discard(name)
            return value
        if name[:1] in ("@", "<", "*", "^", "+", "?", "%", "|") or name == "CURDIR":
            return UNKNOWN
        return ""  # a number that is no argument, and what nothing sets


class _Conditionals:
    """The `ifeq` and their kind that are open: of each, whether its branch counts.

    None stands for what only make knows.
    """

    def __init__(self, make: MakeText) -> None:
        self._make = make
        self._branches: list[bool | None] = []
        self._met: list[bool | None] = []
        """Of each, whether one of its branches has counted already."""

    @property
    def skipping(self) -> bool:
        """Whether what is read now does not count."""
        return False in self._branches

    @property
    def unsure(self) -> bool:
        """Whether only make knows if what is read now counts."""
        return None in self._branches

    def follow(self, line: str) -> bool:
        """Follow `line` if it is a directive of a conditional; return whether it is one."""
        if found := _CONDITION.match(line):
            truth = False if self.skipping else self._truth(found["word"], found["rest"])
            # A branch of what does not count never does, nor does its `else`.
            self._met.append(True if self.skipping else truth)
            self._branches.append(truth)
            return True
        if self._branches and (found := _ELSE.match(line)):
            self._branches[-1], self._met[-1] = self._otherwise(found["rest"])
            return True
        if self._branches and _ENDIF.match(line):
            self._branches.pop()
            self._met.pop()
            return True
        return False

    def _otherwise(self, rest: str) -> tuple[bool | None, bool | None]:
        met = self._met[-1]
        if met is True:
            return False, True
        again = _CONDITION.match(rest)
        truth = self._truth(again["word"], again["rest"]) if again else True
        if met is None:
            return (None if truth is not False else False), None
        return truth, truth

    def _truth(self, word: str, rest: str) -> bool | None:
        rest = _without_comment(rest)
        if word in ("ifdef", "ifndef"):
            return self._make.is_set(self._make.expand(rest, {}).strip()) == (word == "ifdef")
        if quoted := _QUOTED.match(rest):
            sides = [quoted["one"][1:-1], quoted["two"][1:-1]]
        elif rest.startswith("(") and rest.endswith(")"):
            sides = [side.strip() for side in arguments(rest[1:-1], most=2)]
        else:
            return None
        if len(sides) != 2:
            return None
        one, two = (self._make.expand(side, {}) for side in sides)
        if mark_of(one, two):
            return None
        return (one == two) == (word == "ifeq")


class _Reader:
    """Reads text into a `MakeText`; in a definition only the rules are of interest."""

    def __init__(self, make: MakeText, definition: str | None) -> None:
        self._make = make
        self._definition = definition
        self._conditionals = _Conditionals(make)
        self._targets = ""
        self._recipe: list[str] | None = None

    def read(self, text: str) -> None:
        """Read all lines."""
        lines = _logical_lines(text)
        for line in lines:
            if line.startswith("\t") and self._recipe is not None:
                if not self._conditionals.skipping:
                    self._recipe.append(line[1:])
                continue
            plain = line.strip()
            if self._conditionals.follow(plain) or self._conditionals.skipping:
                continue
            plain = _without_comment(plain)
            if found := _DEFINE.match(plain):
                self._make.define(found["name"], _body(lines))
            elif plain and not _CALLS_A_DEFINITION.match(plain):
                self._take(plain)
        self._finish()

    def _take(self, plain: str) -> None:
        found = _ASSIGNMENT.match(plain)
        if found is not None:
            if self._definition is None:
                unsure = self._conditionals.unsure
                self._make.assign(found["name"], found["kind"], found["value"], unsure=unsure)
            return
        targets, inline = _rule_parts(plain)
        if targets is not None:
            self._finish()
            self._targets, self._recipe = targets, [inline] if inline else []
        elif plain.startswith("$"):
            self._make.expand(plain, {})  # `$(foreach …,$(eval …))` and the like

    def _finish(self) -> None:
        if self._recipe is not None:
            rule = MakeRule(self._targets, tuple(self._recipe), self._definition)
            self._make.rules.append(rule)
        self._recipe = None


def _body(lines: Iterator[str]) -> str:
    depth = 1
    body: list[str] = []
    for line in lines:
        word = line.strip().partition(" ")[0]
        depth += (word == "define") - (word == "endef")
        if not depth:
            break
        body.append(line)
    return "\n".join(body)


def _logical_lines(text: str) -> Iterator[str]:
    """Join lines that end with a backslash."""
    held: list[str] = []
    for line in text.split("\n"):
        continued = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        part = line[:-1] if continued else line
        held.append(part.strip() if held else part.rstrip() if continued else part)
        if not continued:
            yield " ".join(held)
            held = []
    if held:
        yield " ".join(held)


def _without_comment(line: str) -> str:
    start = re.search(r"(?<!\\)#", line)
    return line[: start.start()].rstrip() if start else line


def _rule_parts(plain: str) -> tuple[str | None, str]:
    """Take a rule's first line apart: its targets, and the recipe that follows a semicolon."""
    depth = 0
    for position, character in enumerate(plain):
        depth += (character in "({") - (character in ")}")
        if depth:
            continue
        if character == "=":
            break
        if character == ":":
            _, _, recipe = plain[position:].partition(";")
            return plain[:position], recipe.strip()
    return None, ""
