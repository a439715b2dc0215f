"""Dependencies and versions as apko reads them, which is not in all things as apk does.

The rules are those of apko 1.2.21 (pkg/apk/apk/version.go), because it is apko that melange asks
for its environments: to apko 1.01 is 1.1, and `1~abc` is no version.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

# The operator is as long as it can be with something behind it, and is not tried shorter: that could
# only end alike, after as many trials as there are signs, each as long as the version.
_DEPENDENCY = re.compile(
    r"(?P<name>[^@=><~]+)"
    r"(?:(?P<operator>(?>[=><~]+(?=[^@])))(?P<version>[^@]+))?"
    r"(?:@(?P<pin>[a-zA-Z0-9]+))?"
)
_MARK = re.compile(r"[@=><~]")
_SIMPLE = re.compile(r"((?!so:)[^@=><~]+)(>=|<=|=|<|>|~)([^@=><~]+)")
_RELEASE = re.compile(r"-r[0-9]+\Z")
_OPERATORS = {"=": "=", ">": ">", "<": "<", ">=": ">=", "<=": "<=", "~": "~", "=~": "~"}

_VERSION = re.compile(
    r"(?P<numbers>[0-9]+(?:\.[0-9]+)*)"
    r"(?P<letter>[a-z]?)"
    r"(?:_(?P<pre>alpha|beta|pre|rc)(?P<pre_number>[0-9]*))?"
    r"(?:_(?P<post>cvs|svn|git|hg|p)(?P<post_number>[0-9]*))?"
    r"(?:-r(?P<epoch>[0-9]+))?"
)
_DIGITS = re.compile(r"[0-9]+")
_PRE = {"alpha": 1, "beta": 2, "pre": 3, "rc": 4, "": 5}
_POST = {"": 0, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
_LARGEST = 2**63 - 1
_NO_PRE = _PRE[""]


class Constraint(NamedTuple):
    """A need or a provision, taken apart."""

    text: str
    name: str
    operator: str
    """`=`, `<`, `>`, `<=`, `>=`, `~`, or empty: any version will do."""
    version: str
    """Can be there without an operator, if apko does not know the one that is written."""
    pin: str
    """The tag of the repository: `foo@edge`."""


class Version(NamedTuple):
    """A version that apko accepts; compares as apko compares."""

    numbers: tuple[int, ...]
    letter: str
    pre: int
    pre_number: int
    post: int
    post_number: int
    epoch: int


simple_constraint = _SIMPLE.fullmatch
"""Match a plain `name>=version`: its groups are what `parse` gives, in a third of the time."""


def is_name(text: str) -> bool:
    """Tell whether `text` can be a package's name, without a constraint or a tag."""
    return _MARK.search(text) is None


def parse(text: str) -> Constraint:
    """Take `foo>=1.2@edge` apart; what apko cannot read is a name as a whole."""
    if _MARK.search(text) is None:
        return Constraint(text, text, "", "", "")
    read = text
    if text.startswith("so:"):
        # A library's version without a release sorts after those with one, as melange means it.
        name, equals, version = text.partition("=")
        if equals and _RELEASE.search(version) is None:
            read = f"{name}=0.{version}"
    match = _DEPENDENCY.fullmatch(read)
    if match is None:
        return Constraint(text, read, "", "", "")
    name, sign, version, pin = match.groups(default="")
    return Constraint(text, name, _OPERATORS.get(sign, ""), version, pin)


@cache
def version(text: str) -> Version | None:
    """Read a version; None if apko refuses it."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    numbers, letter, pre, pre_number, post, post_number, epoch = match.groups(default="")
    read = Version(
        tuple(map(_number, numbers.split("."))),
        letter,
        _PRE[pre],
        _number(pre_number),
        _POST[post],
        _number(post_number),
        _number(epoch),
    )
    return read if is_version(text) else None


@cache
def is_version(text: str) -> bool:
    """Tell whether apko can read a version: its numbers must fit into 63 bits."""
    if _VERSION.fullmatch(text) is None:
        return False
    return len(text) < 19 or all(_number(digits) <= _LARGEST for digits in _DIGITS.findall(text))


def rank(text: str) -> tuple[bool, Version | tuple[()]]:
    """Return a key by which versions sort as apko sorts them; what it refuses comes before all others."""
    found = version(text)
    return (False, ()) if found is None else (True, found)


def _number(digits: str) -> int:
    # Python refuses to read thousands of digits, and twenty are too many already.
    if len(digits) < 19:
        return int(digits or "0")
    return int(digits.lstrip("0")[:20] or "0")


def _is_included(actual: Version, required: Version) -> bool:
    """Tell whether `actual` is one of the versions that `~required` stands for."""
    length = len(required.numbers)
    if actual.numbers[:length] != required.numbers:
        return False
    if len(actual.numbers) > length:
        return True
    return (
        (not required.letter or actual.letter == required.letter)
        and required.pre in (_NO_PRE, actual.pre)
        and (not required.pre_number or actual.pre_number == required.pre_number)
        and (not required.post or actual.post == required.post)
        and (not required.post_number or actual.post_number == required.post_number)
        and (not required.epoch or actual.epoch == required.epoch)
    )


SATISFIES: dict[str, Callable[[Version, Version], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "~": _is_included,
    "": lambda _actual, _required: True,
}
"""Operator → whether an actual version is what a constraint with a required version wants."""
