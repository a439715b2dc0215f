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
from dataclasses import dataclass, fields

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
    ]
)
_BUILD = re.compile(
    r"(?:^|[\s;&|(/@+-])melange(?P<flags>(?:\s+-\S+)*)\s+build\s+(?P<words>.*)$", re.DOTALL
)
_SUBMAKE = re.compile(r"(?:^|[\s@;&])make\s+(?P<words>.*)$", re.DOTALL)
_COMMAND_ENDS = re.compile(r"\s(?:&&|\|\||[;|>])\s?|;")


@dataclass(frozen=True, slots=True, kw_only=True)
class MelangeCall:
    """The flags of a call that matter to the graph, in the order given; paths as written."""

    package_append: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    pipeline_dirs: tuple[str, ...] = ()
    """`--pipeline-dirs`, then `--pipeline-dir`: the order in which melange looks."""
    repositories: tuple[str, ...] = ()
    keyrings: tuple[str, ...] = ()
    vars_file: str | None = None
    unreadable: tuple[str, ...] = ()
    """The flags among these whose values only make itself can tell."""


class MelangeCalls:
    """The calls of one Makefile: one for all packages, or one each where the text tells them apart.

    `given` are the command-line assignments with which make is called.
    """

    def __init__(self, text: str, given: Mapping[str, str]) -> None:
        self._make = MakeText(text, {"MELANGE": "melange", **given})
        self._for_one: dict[str, MakeRule] = {}
        self._for_all: MakeRule | None = None
        self._locals: list[tuple[str, str]] = []
        for rule in self._make.rules:
            self._sort(rule)
        self._common = self._call_for_all()

    def of(self, name: str, full_version: str) -> MelangeCall:
        """Return the call for the package of this name; `full_version` is like `1.2-r0`."""
        rule = self._for_one.get(name) or self._for_one.get(f"{name}-{full_version}")
        if rule is None and self._common is not None:
            return self._common
        rule = rule or self._for_all
        return MelangeCall() if rule is None else self._call(rule, name, full_version)

    def _call_for_all(self) -> MelangeCall | None:
        """Return the call that all packages share; None if it is another one for each."""
        if self._for_all is None:
            return None
        command = next(self._commands(self._for_all, STEM, STEM))
        call = _flags_of(command)
        return None if VARIES in command or STEM in "".join(_values(call)) else call

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
        return next(map(_flags_of, self._commands(rule, name, full_version)), MelangeCall())

    def _commands(self, rule: MakeRule, name: str, full_version: str) -> Iterator[str]:
        """Yield what stands behind each `melange build` of a recipe."""
        outer = {"*": name}
        local = {key: self._make.expand(value, outer) for key, value in self._locals}
        if rule.definition is not None:
            local |= {"1": name, "2": full_version, "0": rule.definition}
        apk = "packages/" in rule.targets
        local["*"] = f"{name}-{full_version}" if apk else name
        for line in rule.recipe:
            if "build" in line:
                expanded = self._make.expand(line, local)
                if found := _BUILD.search(expanded):
                    yield _COMMAND_ENDS.split(found["words"], maxsplit=1)[0]


def _values(call: MelangeCall) -> Iterator[str]:
    for field in fields(call):
        value: str | tuple[str, ...] | None = getattr(call, field.name)
        yield from (value,) if isinstance(value, str) else value or ()


def _package_of(target: str) -> str | None:
    """Return the package of a rule that is for one alone: `package/NAME`, `packages/ARCH/….apk`."""
    if "%" in target or UNKNOWN in target:
        return None
    folder, _, name = target.rpartition("/")
    if folder == "package":
        return name
    return name.removesuffix(".apk") if folder.startswith("packages/") and name else None


def _flags_of(command: str) -> MelangeCall:
    found: dict[str, list[str]] = {field: [] for field, _ in _FLAGS.values()}
    unreadable: list[str] = []
    for flag, value in _pairs(_words(command)):
        field, several = _FLAGS.get(flag, ("", False))
        if not field:
            continue
        if UNKNOWN in value or VARIES in value:
            unreadable.append(flag)
        elif several:
            found[field] += next(csv.reader([value]), [])
        else:
            found[field] = [value]
    return MelangeCall(
        package_append=tuple(found["package_append"]),
        build_options=tuple(found["build_options"]),
        pipeline_dirs=(*found["pipeline_dirs"], *found["pipeline_dir"]),
        repositories=tuple(found["repositories"]),
        keyrings=tuple(found["keyrings"]),
        vars_file=next(iter(found["vars_file"]), None),
        unreadable=tuple(dict.fromkeys(unreadable)),
    )


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command.replace("\n", " "))
    except ValueError:  # a quote that is not closed: the shell will say so
        return command.split()


def _pairs(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield flags with their values."""
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if not word.startswith("-") or flag in _BARE:
            continue
        if equals:
            yield flag, value
        elif not flag.startswith("--") and len(flag) > 2:
            yield flag[:2], flag[2:]
        else:
            yield flag, next(rest, "")
