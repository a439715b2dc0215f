"""Where a Makefile calls melange by a name of its own, and not as $(MELANGE).

`dag` leads $(MELANGE) to where steps are confined, whatever PATH is. Another call gets there only by
PATH, and a program at a path of its own may do with PATH what it likes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dag.core.package.makefunctions import STEM, UNKNOWN
from dag.core.package.makerules import fits
from dag.core.package.makesource import MakefileText
from dag.core.package.maketext import MakeRule, MakeText

_CALL = re.compile(
    rf"""(?:^|(?<=[\s;&|()@+'"-]))(?P<program>[^\s;&|()@+'"={UNKNOWN}-][^\s;&|()'"={UNKNOWN}]*/)?melange"""
    r"""(?:[:@][^\s;&|"']+)?["']?(?:\s+-\S+){0,9}\s+build\s"""
)
_OVERRIDE = re.compile(
    r"^ *override\s+(?:export\s+)?MELANGE\s*[:?+]*=\s*(?P<value>[^\n#]*)", re.MULTILINE
)
_PATH = re.compile(r"""(?:^|[\s;&|(@])PATH=(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s;&|]*)""")
_OF_PATH = re.compile(rf"\$PATH\b|\$\{{PATH\}}|{UNKNOWN}")
_ELSEWHERE = re.compile(
    r"(?:^|[\s;&|(@])(?P<word>sudo|doas|su|chroot|ssh|docker|podman|nerdctl|systemd-run)\s"
)


@dataclass(frozen=True, slots=True)
class OwnCall:
    """A call of melange that is written out."""

    place: str
    """The file and the line of the recipe."""
    path: str
    """The path by which melange is called, as far as the text tells; empty if PATH finds it."""
    first: tuple[str, ...] = ()
    """The directories in which the recipe has programs looked for before those of PATH."""
    by: str = ""
    """The program that makes the call elsewhere, with another PATH: as another user, in a container."""


def own_calls(
    source: MakefileText, given: Mapping[str, str], templates: Iterable[str]
) -> tuple[OwnCall, ...]:
    """Return the calls in the recipes that build packages; others are nobody's business here.

    `given` are the assignments for make, and `templates` the forms that the targets of packages have.
    """
    if "melange" not in source.text:
        return ()
    make = MakeText(source.text, {**given, "MELANGE": UNKNOWN, "PATH": UNKNOWN})
    found = dict.fromkeys(_overriding(source, make))
    samples = [one.format(arch=STEM, name=STEM, version=STEM, epoch=STEM) for one in templates]
    for rule in make.rules:
        if not _builds_packages(make, rule, samples):
            continue
        for line, text in _lines(make, rule):
            for call in _CALL.finditer(text):
                before = text[: call.start()]
                by = _ELSEWHERE.search(before)
                one = OwnCall(
                    "{}:{}".format(*source.place(line)),
                    f"{call['program']}melange" if call["program"] else "",
                    tuple(_first_directories(before)),
                    by["word"] if by else "",
                )
                found[one] = None
    return tuple(found)


def _overriding(source: MakefileText, make: MakeText) -> Iterator[OwnCall]:
    """Yield what stands in the place of the $(MELANGE) that is given to make."""
    for one in _OVERRIDE.finditer(source.text):
        words = make.expand(one["value"], {}).split()
        path = words[0] if words and "/" in words[0] and UNKNOWN not in words[0] else ""
        line = source.text.count("\n", 0, one.start()) + 1
        yield OwnCall("{}:{}".format(*source.place(line)), path)


def _builds_packages(make: MakeText, rule: MakeRule, samples: Sequence[str]) -> bool:
    if rule.definition is not None:
        return True
    targets = make.expand(rule.targets, {}).split()
    begins = tuple(sample.partition(STEM)[0] for sample in samples)
    return any(
        target == "all"
        or not {UNKNOWN, "$"}.isdisjoint(target)
        or ("%" in target and any(fits(target, sample) for sample in samples))
        or ("%" not in target and any(begin and target.startswith(begin) for begin in begins))
        for target in targets
    )


def _lines(make: MakeText, rule: MakeRule) -> Iterator[tuple[int, str]]:
    local = {"*": STEM, "1": STEM, "2": STEM}
    for number, line in zip(rule.lines, rule.recipe, strict=True):
        if "build" in line or "$" in line:
            yield number, make.expand(line, local)


def _first_directories(before: str) -> Iterator[str]:
    for found in _PATH.finditer(before):
        value = _OF_PATH.split(found["value"].strip("'\""), maxsplit=1)[0]
        yield from filter(None, value.split(":"))
