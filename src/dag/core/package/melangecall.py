"""What the Makefile's call of `melange build` adds to a build, as far as its text tells.

A Makefile may append packages to every environment, name a file of variables, more pipelines,
build options, repositories and keys. All of that counts for the graph, because it counts for
melange. The flags are those of melange 0.56:
https://github.com/chainguard-dev/melange/blob/v0.56.0/pkg/cli/build.go
"""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

from dag.core.package.makefunctions import STEM, UNKNOWN, VARIES
from dag.core.package.maketext import MakeRule, MakeText

# Flag → our field, and whether melange splits its value at commas and adds it to what there is.
_FLAGS: Mapping[str, tuple[str, bool]] = {
    "--package-append": ("package_append", True),
    "--build-option": ("build_options", True),
    "--pipeline-dirs": ("pipeline_dirs", True),
    "--pipeline-dir": ("pipeline_dir", False),
    "--repository-append": ("repositories", True),
    "-r": ("repositories", True),
    "--keyring-append": ("keyrings", True),
    "-k": ("keyrings", True),
    "--vars-file": ("vars_file", False),
}
# Flags that take no word of their own; of all others the next word is the value.
_BARE = frozenset(
    [
        "--generate-index",
        "--empty-workspace",
        "--strip-origin-name",
        "--create-build-log",
        "--debug",
        "--persist-lint-results",
        "--debug-runner",
        "--interactive",
        "-i",
        "--rm",
        "--ignore-signatures",
        "--cleanup",
        "--fail-on-lint-warning",
        "--generate-provenance",
        "--gcplog",
    ]
)
_IGNORING = frozenset(["--ignore-signatures", "--ignore-signatures=true"])
OPTIONS = "options"
"""Among the unreadable flags it stands for words of which nobody knows what flags they are."""
_WORD = r"""(?!\S*melange["']?(?:\s|$))\S+"""
_BUILD = re.compile(
    r"""(?:^|[\s;&|(/@+"'-])melange["']?"""  # however it is called
    # A word that ends like its name begins a call of its own: so no word is looked at twice.
    rf"(?:\s+(?=-\S){_WORD}(?:\s+(?!build\s|-){_WORD})?)*\s+build\s+",
)
_NEEDS_NO_SHELL = re.compile(r"[^'\"\\#]*")
_IN_QUOTES = re.compile(r"""'[^'\n]*'|"[^"\n]*\"""")
_REDIRECTION = re.compile(r"\d*[<>]")
_SUBMAKE = re.compile(r"(?:^|[\s@;&])make\s+(?P<words>.*)$", re.DOTALL)
_COMMAND_ENDS = re.compile(r"\s(?:&&|\|\||[;|>])\s?|[;\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class MelangeCall:
    """The flags of a call that matter to the graph, in the order given; paths as written."""

    package_append: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    pipeline_dirs: tuple[str, ...] = ()
    """`--pipeline-dir`, then `--pipeline-dirs`: the order in which melange looks."""
    repositories: tuple[str, ...] = ()
    keyrings: tuple[str, ...] = ()
    vars_file: str | None = None
    ignores_signatures: bool = False
    """Whether melange takes indexes of repositories, whoever signed them."""
    unreadable: tuple[str, ...] = ()
    """The flags among these whose values only make itself can tell, or `OPTIONS`."""
    line: int = field(default=0, compare=False)
    """The line in which the recipe has the call; 0 if there is none."""


class MelangeCalls:
    """The calls of one Makefile: one for all packages, or one each where the text tells them apart.

    `given` are the command-line assignments with which make is called.
    """

    def __init__(self, text: str, given: Mapping[str, str]) -> None:
        self._lines = text.split("\n")
        self._make = MakeText(text, {"MELANGE": "melange", **given})
        self._for_one: dict[str, MakeRule] = {}
        self._for_all: MakeRule | None = None
        self._locals: list[tuple[str, str]] = []
        self._known: dict[tuple[str, str], MelangeCall] = {}
        for rule in self._make.rules:
            self._sort(rule)
        self._common = self._call_for_all()

    def of(self, name: str, full_version: str) -> MelangeCall:
        """Return the call for the package of this name; `full_version` is like `1.2-r0`."""
        rule = self._for_one.get(name) or self._for_one.get(f"{name}-{full_version}")
        if rule is None and self._common is not None:
            return self._common
        rule = rule or self._for_all
        if rule is None:
            return MelangeCall()
        has_version = rule.definition is not None or "packages/" in rule.targets
        key = (name, full_version if has_version else "")
        if key not in self._known:
            self._known[key] = self._call(rule, name, full_version)
        return self._known[key]

    @property
    def has_unknown_options(self) -> bool:
        """Return whether the call that most packages share has words that only make can tell."""
        if self._for_all is None:
            return False
        return OPTIONS in (self._common or self._call(self._for_all, STEM, STEM)).unreadable

    def line_of(self, call: MelangeCall, flag: str) -> int:
        """Return the line in which a call's flag is written, as far as can be seen; else the call's."""
        numbers = range(call.line, len(self._lines) + 1)
        for number in numbers if call.line else ():
            line = self._lines[number - 1]
            if flag in line:
                return number
            if not line.endswith("\\"):
                break
        lines = enumerate(self._lines, start=1)
        return next((n for n, line in lines if flag in line.partition("#")[0]), call.line)

    def _call_for_all(self) -> MelangeCall | None:
        """Return the call that all packages share; None if it is another one for each."""
        if self._for_all is None or self._make.has_scopes:
            return None
        call = self._call(self._for_all, STEM, STEM)
        commands = "\n".join(one for _, one in self._commands(self._for_all, STEM, STEM))
        # In quotes it is one word for each package, such as the name of the definition's file.
        varies = VARIES in _IN_QUOTES.sub("", commands) or (call.unreadable and VARIES in commands)
        return None if varies or STEM in "".join(_values(call)) else call

    def _sort(self, rule: MakeRule) -> None:
        targets = self._make.expand(rule.targets, {}).split()
        if any(self._commands(rule, STEM, STEM)):
            ours = [_package_of(target) for target in targets]
            if rule.definition is None and targets and all(name for name in ours):
                self._for_one |= {str(name): rule for name in ours}
            elif self._for_all is None:
                self._for_all = rule
        if any(target.endswith("/%") for target in targets):
            self._locals += self._handed_on(rule)

    def _handed_on(self, rule: MakeRule) -> Iterator[tuple[str, str]]:
        """Yield the assignments with which a rule calls make again, as they are written."""
        for line in rule.recipe:
            line = line.replace("$(MAKE)", "make").replace("${MAKE}", "make")  # noqa: PLW2901
            if found := _SUBMAKE.search(line):
                for word in found["words"].split():
                    name, equals, value = word.partition("=")
                    if equals and name.isidentifier():
                        yield name, value

    def _call(self, rule: MakeRule, name: str, full_version: str) -> MelangeCall:
        calls = [
            replace(_flags_of(command), line=line)
            for line, command in self._commands(rule, name, full_version)
        ]
        if not calls:
            return MelangeCall()
        # Which of several is made, only the shell can tell.
        differing = {
            one.name for one in fields(calls[0]) if len({getattr(c, one.name) for c in calls}) > 1
        }
        unsure = [flag for flag, (field_name, _) in _FLAGS.items() if field_name in differing]
        unreadable = dict.fromkeys([*calls[0].unreadable, *unsure])
        return replace(calls[0], unreadable=tuple(unreadable))

    def _commands(self, rule: MakeRule, name: str, full_version: str) -> Iterator[tuple[int, str]]:
        """Yield what stands behind each `melange build` of a recipe, with its line."""
        outer = {"*": name}
        local = {key: self._make.expand(value, outer) for key, value in self._locals}
        if rule.definition is not None:
            local |= {"1": name, "2": full_version, "0": rule.definition}
        apk = "packages/" in rule.targets
        local["*"] = f"{name}-{full_version}" if apk else name
        targets = self._make.expand(rule.targets, local).split()
        stem = local["*"]
        local |= self._make.scope((one.replace("%", stem) for one in targets), local)
        for number, line in zip(rule.lines, rule.recipe, strict=True):
            if "build" in line or "$" in line:
                _, *commands = _BUILD.split(self._make.expand(line, local))
                for command in commands:
                    yield number, _COMMAND_ENDS.split(command, maxsplit=1)[0]


def _values(call: MelangeCall) -> Iterator[str]:
    for one in fields(call):
        value: str | int | tuple[str, ...] | None = getattr(call, one.name)
        if isinstance(value, str | tuple):
            yield from (value,) if isinstance(value, str) else value


def _package_of(target: str) -> str | None:
    """Return the package of a rule that is for one alone: `package/NAME`, `packages/ARCH/….apk`."""
    if "%" in target or UNKNOWN in target:
        return None
    folder, _, name = target.rpartition("/")
    if folder == "package":
        return name
    return name.removesuffix(".apk") if folder.startswith("packages/") and name else None


def _flags_of(command: str) -> MelangeCall:
    found: dict[str, list[str]] = {name: [] for name, _ in _FLAGS.values()}
    unreadable: list[str] = []
    operands: list[str] = []
    words = _words(command)
    for flag, value in _pairs(words):
        name, several = _FLAGS.get(flag, ("", False))
        if not flag:
            operands.append(value)
        elif not name:
            continue
        elif _is_unknown(value):
            unreadable.append(flag)
        elif several:
            found[name] += next(csv.reader([value]), [])
        else:
            found[name] = [value]
    if len(operands) > 1 and any(map(_is_unknown, operands)):  # more than the definition's file
        unreadable.append(OPTIONS)
    return MelangeCall(
        package_append=tuple(found["package_append"]),
        build_options=tuple(found["build_options"]),
        pipeline_dirs=(*filter(None, found["pipeline_dir"]), *found["pipeline_dirs"]),
        repositories=tuple(found["repositories"]),
        keyrings=tuple(found["keyrings"]),
        vars_file=next(filter(None, found["vars_file"]), None),
        ignores_signatures=not _IGNORING.isdisjoint(words),
        unreadable=tuple(dict.fromkeys(unreadable)),
    )


def _is_unknown(value: str) -> bool:
    # What the shell would put in is as unknown as what only make knows.
    return not {UNKNOWN, VARIES, "$", "`"}.isdisjoint(value)


def _words(command: str) -> list[str]:
    if _NEEDS_NO_SHELL.fullmatch(command):  # as there is one command for each of 3,400 packages
        return command.split()
    try:
        return shlex.split(command)
    except ValueError:  # a quote that is not closed: the shell will say so
        return command.split()


def _pairs(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield flags with their values; an operand has an empty flag."""
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if _REDIRECTION.match(word):
            continue
        if not word.startswith("-"):
            yield "", word
        elif flag in _BARE:
            continue
        elif equals:
            yield flag, value
        elif not flag.startswith("--") and len(flag) > 2:
            yield flag[:2], flag[2:]
        else:
            yield flag, next(rest, "")
