"""Dependencies of a package or subpackage: as a definition has them, and resolved.

melange resolves them in two passes: exact references first, expressions with a scope later
(https://pkg.go.dev/chainguard.dev/melange@v0.56.0/pkg/build, NewSubstitutionMap and Compile).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from yaml.nodes import Node

from dag.core.package.model import UNPRINTABLE
from dag.core.package.substitutions import Lookup, Replacer, Unresolvable, substitute
from dag.core.package.yaml import NodeReader, line_of

_PRIORITY = re.compile(r"([+-]?)0*([0-9]{1,19})")
_LIMIT = 2**63


class Text(NamedTuple):
    """A text of a definition and its line."""

    text: str
    line: int

    def replaced_by(self, replace: Replacer) -> Text:
        """Return the text with melange's first, textual substitution done."""
        return Text(replace(self.text), self.line) if "${{" in self.text else self


def replaced_texts(texts: tuple[Text, ...], replace: Replacer) -> tuple[Text, ...]:
    """Return texts with melange's first, textual substitution done, which few need."""
    return tuple([one.replaced_by(replace) if "${{" in one[0] else one for one in texts])


_NOTHING = Text("", 1)
_text = partial(tuple.__new__, Text)


@dataclass(frozen=True, slots=True)
class WrittenDependencies:
    """The `dependencies` of a package or subpackage as they are written."""

    runtime: tuple[Text, ...] = ()
    provides: tuple[Text, ...] = ()
    priority: Text = _NOTHING

    def replaced_by(self, replace: Replacer) -> WrittenDependencies:
        """Return the dependencies with melange's first, textual substitution done."""
        if not (self.runtime or self.provides or self.priority.text):
            return self  # as most subpackages have it
        return WrittenDependencies(
            replaced_texts(self.runtime, replace),
            replaced_texts(self.provides, replace),
            self.priority.replaced_by(replace),
        )


@dataclass(frozen=True, slots=True)
class ResolvedDependencies:
    """The `dependencies` of a package or subpackage with every variable resolved."""

    runtime: tuple[str, ...]
    provides: tuple[str, ...]
    priority: int


def _number(text: str) -> int | None:
    """Read a number of 64 bits as Go does; None if it is none."""
    match = _PRIORITY.fullmatch(text)
    number = int(match[1] + match[2]) if match else _LIMIT
    return number if -_LIMIT <= number < _LIMIT else None


def read_dependencies(node: Node | None, tree: NodeReader) -> WrittenDependencies:
    """Return what a `dependencies` mapping has; nothing where there is none."""
    if node is None:
        return WrittenDependencies()
    fields = tree.mapping(node, "dependencies")
    priority = fields.get("provider-priority")
    return WrittenDependencies(
        read_texts(fields.get("runtime"), tree, "dependencies.runtime"),
        read_texts(fields.get("provides"), tree, "dependencies.provides"),
        Text(tree.text(priority, "provider-priority"), line_of(priority or node)),
    )


def read_texts(node: Node | None, tree: NodeReader, what: str) -> tuple[Text, ...]:
    """Return the texts of a list; `what` names it in problems."""
    return () if node is None else tuple(map(_text, tree.texts(node, what)))


class TextResolver:
    """melange's second substitution: it resolves texts, or makes problems of them."""

    def __init__(self, tree: NodeReader, lookup: Lookup, untransformed: Lookup) -> None:
        """Take the variables, and those that no var-transform touched: priorities see only these."""
        self._tree = tree
        self._lookup = lookup
        self._untransformed = untransformed

    def dependencies(
        self, written: WrittenDependencies, *, of_subpackage: bool = False
    ) -> ResolvedDependencies:
        """Return `written` with every variable resolved.

        melange 0.56 resolves the priority of a subpackage, and forgets the result.
        """
        priority = written.priority.text
        if not of_subpackage:
            priority = self._substitute(written.priority, self._untransformed)
        number = _number(priority) if priority else 0
        if number is None:
            what = f"provider-priority {priority[:60]!r} is not a number"
            self._tree.problem(written.priority.line, what, "write a whole number")
        return ResolvedDependencies(
            tuple(map(self.package, written.runtime)),
            tuple(map(self.package, written.provides)),
            number or 0,
        )

    def package(self, written: Text) -> str:
        """Return the resolved name of one package."""
        text = written[0]
        if text.isprintable() and " " not in text and "${{" not in text:
            return text  # as 44,000 of 45,000
        result = self._substitute(written, self._lookup)
        if UNPRINTABLE.search(result.strip()):
            what = f"{result[:60]!r} is not a package"
            self._tree.problem(written.line, what, "name one package an entry")
        return result

    def _substitute(self, written: Text, lookup: Lookup) -> str:
        try:
            return substitute(written.text, lookup)
        except Unresolvable as error:
            self._tree.problem(written.line, str(error), "define it, or correct the name")
            return written.text
