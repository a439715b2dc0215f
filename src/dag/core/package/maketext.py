"""What a Makefile's text says of its variables and rules, without running make.

Running make on somebody's Makefile runs the `$(shell …)` in it, and the client may have no make. So
the text is evaluated here as far as it is literal: variables, conditionals, and those functions
that only compute. Everything else (`$(shell …)`, `$(wildcard …)`, the environment) becomes UNKNOWN,
which spreads: a word that contains it is not literal. The rules are those of GNU make:
https://www.gnu.org/software/make/manual/make.html
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from dag.core.package.makeconditions import Conditionals, without_comment
from dag.core.package.makefunctions import (
    FUNCTIONS,
    MARKS,
    SILENT,
    UNKNOWN,
    mark_of,
    matches,
    reference_at,
    replace_words,
)

_MOST_WHILE_READING = 200_000
"""References that are expanded while a Makefile is read: variables can double each other's length."""
_MOST_AT_ONCE = 5_000
"""The same for each text that is expanded afterwards."""
_MOST_PATTERNS = 200
"""Assignments for patterns of targets, each of which is looked at for each package."""
_DEEPEST = 60
_LONGEST = 1 << 18
"""Characters of one value. Longer ones become UNKNOWN, as does what refers to itself."""

_ASSIGNMENT = re.compile(
    r"^(?:(?:override|export|private)\s+)*(?P<name>[^\s:#=?+!$]+)\s*(?P<kind>:{0,3}|[?+!])=\s*(?P<value>.*)$",
    re.DOTALL,
)
_DEFINE = re.compile(r"^(?:override\s+)?define\s+(?P<name>\S+)\s*(?:[:?+]?=\s*)?$")
_CALLS_A_DEFINITION = re.compile(r"^\$[({]eval\s+\$[({]call\s+[^\s,$]+,[^$]*[)}]\s*[)}]$")

_Line = tuple[int, str]
"""A line with its number, counted from 1."""


class MakeRule(Struct, frozen=True):
    """A rule: its targets as they are written, and the lines of its recipe, not yet expanded."""

    targets: str
    recipe: tuple[str, ...]
    lines: tuple[int, ...]
    """The line of the text in which each line of the recipe begins."""
    definition: str | None = None
    """The `define` that it is part of, so that `$(1)` is an argument of its `$(call …)`."""


class ScopedAssignment(Struct, frozen=True):
    """An assignment for some targets alone: `package/app: OPTIONS += --debug`."""

    targets: str
    name: str
    kind: str
    """What stands before the `=`."""
    value: str
    unsure: bool
    """Whether it is not known if the line counts."""

    @property
    def is_plain(self) -> bool:
        """Return whether the targets are plain words, and no patterns."""
        return not {"%", "$"}.intersection(self.targets)


class _Variable(Struct):
    value: str
    recursive: bool


class MakeText:
    """The variables and rules of a Makefile.

    `given` are the assignments of the command line: they win over those of the text. `unset` is the
    value of what nothing sets.
    """

    def __init__(self, text: str, given: Mapping[str, str], *, unset: str = "") -> None:
        self.rules: list[MakeRule] = []
        self._scoped: defaultdict[str, list[tuple[int, ScopedAssignment]]] = defaultdict(list)
        """Target → the assignments for it, with their places; those for patterns are at "", too."""
        self._count = 0
        self._lost: dict[str, str] = {}
        """Variables of such assignments, of which there are too many."""
        self._given = given
        self._unset = unset
        self._variables = {"MAKE": _Variable("make", recursive=False)}
        self._variables |= {name: _Variable(one, recursive=False) for name, one in given.items()}
        self._definitions: dict[str, list[_Line]] = {}
        self._line = 0
        self._open: set[str] = set()
        """Variables that are being expanded: make refuses one that refers to itself."""
        self._left = _MOST_WHILE_READING
        self._reading = True
        self.read(text.translate(dict.fromkeys(map(ord, MARKS))))
        # One of those per package would be read thousands of times where they are called.
        read: set[str] = set()
        while new := self._definitions.keys() - read:  # in one may be another one
            for name in sorted(new):
                _Reader(self, name).read(iter(self._definitions[name]))
            read |= new
        self._reading = False

    def read(self, text: str) -> None:
        """Take the assignments and rules of `text` as part of the Makefile."""
        lines = _logical_lines(text)
        if self._line:  # an `eval` in that line
            lines = ((self._line, line) for _, line in lines)
        _Reader(self, None).read(lines)

    def begin_line(self, number: int) -> None:
        """Note which line of the text is read now."""
        self._line = number

    def define(self, name: str, body: list[_Line]) -> None:
        """Take what stands between `define NAME` and `endef`."""
        self._definitions[name] = body
        if name not in self._given:
            text = "\n".join(line for _, line in body)
            self._variables[name] = _Variable(text, recursive=True)

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
            if more:
                before.value = f"{before.value} {more}" if before.value else more
        elif ":" in kind:
            self._variables[name] = _Variable(self.expand(value, {}), recursive=False)
        else:
            self._variables[name] = _Variable(value, recursive=True)

    def assign_for(self, one: ScopedAssignment) -> None:
        """Take an assignment that is for some targets."""
        if len(self._scoped[""]) >= _MOST_PATTERNS:
            self._lost[one.name] = UNKNOWN
            return
        if ":" in one.kind:
            before = self.scope(one.targets.split()[:1], {})
            one = replace(one, value=self.expand(one.value, before).replace("$", "$$"))
        targets = one.targets.split()
        if one.is_plain and one.kind == "?":
            scoped = (other.name for target in targets for _, other in self._scoped[target])
            if one.name in self._variables or one.name in scoped:
                return
        # Those for targets that are plain words are found by these: a package may have one each.
        self._count += 1
        for target in targets if one.is_plain else [*targets, ""]:
            self._scoped[target].append((self._count, one))

    @property
    def has_scopes(self) -> bool:
        """Return whether some assignment is for some targets alone."""
        return self._count > 0

    def scope(self, targets: Iterable[str], local: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that assignments for one of `targets` set, expanded."""
        targets = tuple(targets)
        ours = {
            (_LONGEST, place): one
            for target in targets
            for place, one in self._scoped.get(target, ())
            if one.is_plain
        }
        for place, one in self._scoped.get("", ()):
            patterns = self.expand(one.targets, local)
            if UNKNOWN in patterns:
                ours[0, place] = replace(one, unsure=True)
            elif closeness := max((_closeness(patterns, target) for target in targets), default=0):
                ours[closeness, place] = one
        # What is for a target itself goes over what is for a pattern.
        order = [one for _, one in sorted(ours.items(), key=lambda each: each[0])]
        found: dict[str, str] = {}
        for _ in order[:3]:  # one may refer to what a later one sets
            found = self._scope_once(order, local, found)
        return found | self._lost

    def _scope_once(
        self, order: Iterable[ScopedAssignment], local: Mapping[str, str], last: Mapping[str, str]
    ) -> dict[str, str]:
        """Return what assignments set; `last` is what they set so far, for what comes later."""
        found: dict[str, str] = {}
        for one in order:
            known = {**local, **last, **found}
            if one.name in self._given:
                continue
            if (
                one.kind == "?"
                and not one.is_plain
                and (one.name in self._variables or one.name in found)
            ):
                continue  # of patterns, make asks that when it knows the target
            if one.name not in found:
                known.pop(one.name, None)
            if one.unsure or one.kind == "!":
                found[one.name] = UNKNOWN
            elif one.kind == "+":
                before = self.expand(f"$({one.name})", known)
                found[one.name] = f"{before} {self.expand(one.value, known)}".lstrip()
            else:
                found[one.name] = self.expand(one.value, known)
        return found

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
            return replace_words(pattern, replacement, value)
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
        if name[:1] in ("@", "<", "*", "^", "+", "?", "%", "|"):
            return "" if self._reading else UNKNOWN  # they have values in recipes alone
        if name == "CURDIR":
            return UNKNOWN
        return "" if name.isdecimal() else self._unset  # a number is an argument that is not there


class _Reader:
    """Reads text into a `MakeText`; in a definition only the rules are of interest."""

    def __init__(self, make: MakeText, definition: str | None) -> None:
        self._make = make
        self._definition = definition
        self._conditionals = Conditionals(make)
        self._targets = ""
        self._recipe: list[_Line] | None = None

    def read(self, lines: Iterator[_Line]) -> None:
        """Read all lines."""
        for number, line in lines:
            if line.startswith("\t") and self._recipe is not None:
                if not self._conditionals.skipping:
                    self._recipe.append((number, line[1:]))
                continue
            self._make.begin_line(number)
            plain = line.strip()
            if self._conditionals.follow(plain) or self._conditionals.skipping:
                continue
            plain = without_comment(plain)
            if found := _DEFINE.match(plain):
                self._make.define(found["name"], _body(lines))
            elif plain and not _CALLS_A_DEFINITION.match(plain):
                self._take(number, plain)
        self._finish()

    def _take(self, number: int, plain: str) -> None:
        found = _ASSIGNMENT.match(plain)
        if found is not None:
            if self._definition is None:
                unsure = self._conditionals.unsure
                self._make.assign(found["name"], found["kind"], found["value"], unsure=unsure)
            return
        targets, rest = _rule_parts(plain)
        if targets is not None and (found := _ASSIGNMENT.match(rest)):
            if self._definition is None:
                about = (found["name"], found["kind"], found["value"])
                unsure = self._conditionals.unsure
                self._make.assign_for(ScopedAssignment(targets, *about, unsure))
        elif targets is not None:
            self._finish()
            _, _, inline = rest.partition(";")
            self._targets, self._recipe = targets, [(number, inline.strip())] if inline else []
        elif plain.startswith("$"):
            self._make.expand(plain, {})  # `$(foreach …,$(eval …))` and the like

    def _finish(self) -> None:
        if self._recipe is not None:
            lines, recipe = zip(*self._recipe, strict=True) if self._recipe else ((), ())
            self._make.rules.append(MakeRule(self._targets, recipe, lines, self._definition))
        self._recipe = None


def _body(lines: Iterator[_Line]) -> list[_Line]:
    depth = 1
    body: list[_Line] = []
    for number, line in lines:
        word = line.strip().partition(" ")[0]
        depth += (word == "define") - (word == "endef")
        if not depth:
            break
        body.append((number, line))
    return body


def _logical_lines(text: str) -> Iterator[_Line]:
    """Join lines that end with a backslash; each has the number of its first line."""
    held: list[str] = []
    first = 1
    for number, line in enumerate(text.split("\n"), start=1):
        if not held:
            first = number
        continued = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        part = line[:-1] if continued else line
        held.append(part.strip() if held else part.rstrip() if continued else part)
        if not continued:
            yield first, " ".join(held)
            held = []
    if held:
        yield first, " ".join(held)


def _closeness(patterns: str, target: str) -> int:
    """Return how closely one of the patterns matches a target; 0 if none does."""
    close = [len(one) for one in patterns.split() if matches(one, target)]
    return max((_LONGEST if "%" not in patterns else one for one in close), default=0)


def _rule_parts(plain: str) -> tuple[str | None, str]:
    """Take a rule's first line apart: its targets, and what follows the colon."""
    depth = 0
    for position, character in enumerate(plain):
        depth += (character in "({") - (character in ")}")
        if depth:
            continue
        if character == "=":
            break
        if character == ":":
            return plain[:position], plain[position:].lstrip(":").strip()
    return None, ""
