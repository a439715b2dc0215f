"""The Makefile beside package definitions: how a package becomes a target, and whether `all` is one.

It is read as text: make itself would run the Makefile's `$(shell …)` on the client, which may have
no make at all. The two kinds in use are told apart by their rules: since 2024 Wolfi's has
`package/NAME`; before that, a package's target was `packages/ARCH/NAME-VERSION-rEPOCH.apk`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from string import Formatter

from dag.core.arch import Arch
from dag.core.package.makefunctions import UNKNOWN, mark_of
from dag.core.package.makerules import MakefileTargets, known_targets
from dag.core.package.maketext import MakeText
from dag.core.package.model import Package
from dag.core.package.owncalls import OwnCall
from dag.errors import UsageError

FILE_NAMES = ("GNUmakefile", "makefile", "Makefile")
"""In the order in which GNU make looks for them."""

APK_TEMPLATE = "packages/{arch}/{name}-{version}-r{epoch}.apk"
NAME_TEMPLATE = "package/{name}"
_PLAIN = re.compile(r"[\w+.@-]+")
"""The names of files that mean nothing else to make or a shell."""
_ACTIVE = re.compile(r'[\\"$`]')
"""What means something to a shell between double quotes."""
_FIELDS = frozenset({"arch", "name", "version", "epoch"})

KEY = "melange.rsa"
"""The name that `$(KEY)` gets."""
_KEY_VARIABLE = frozenset({"${KEY}", "$(KEY)"})
_SIGNING_KEY = re.compile(
    r"^[^#\n]*?--signing-key[=\s]\s*(?P<word>[^\s\\;&|-][^\s\\;&|]*)", re.MULTILINE
)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")

# A rule's line: targets, a colon that is no `:=`; inside `define` the macro's own rules count too.
_RULE = re.compile(r"^(?P<targets>[^\s#:=][^#:=\n]*)::?(?![:=])", re.MULTILINE)
# A static pattern rule: the targets may be a variable's, the pattern says what they look like.
_STATIC = re.compile(r"^[^\s#].*:\s*package/%\s*:(?![:=])", re.MULTILINE)
_BY_NAME = re.compile(r"package/(?P<name>[^%$]+)")
# What a pattern rule finds is the file whose name is in the target: `find . -name '$*.yaml'`.
_FINDS_FILE = re.compile(r"(?:\$(?:\*|\(\*\)|\{\*\})|%)\.yaml\b")
_CALL = re.compile(r"\$[({]call\s+build-package,\s*(?P<name>[^,\s]+)\s*,")
_INCLUDE = re.compile(r"^[ ]*(?:-|s)?include[ \t]+(?P<names>[^#\n]*)", re.MULTILINE)
GIVEN: Mapping[str, str] = dict.fromkeys(
    (
        "ARCH",
        "KEY",
        "REPO",
        "SOURCE_DATE_EPOCH",
        "MELANGE",
        "MELANGE_DIR",
        "MELANGE_EXTRA_OPTS",
        "MELANGE_RUNNER",
    ),
    UNKNOWN,
)
"""The variables that `dag` itself sets on make's command line, to what it knows only then."""
_UNREAD = {
    "KEY": "melange will not trust what is signed with our key, such as packages of other units",
    "MELANGE_EXTRA_OPTS": "neither the cache nor -r, --keyring, --pipeline-dir and --build-option"
    " reach melange",
}


class KeyMaker(StrEnum):
    """Who makes the signing key of a build that has none."""

    RULE = "rule"
    """The Makefile, by a rule of its own."""
    MELANGE = "melange"
    """`melange keygen`, because the Makefile wants a key and has no rule for it."""
    NOBODY = "nobody"
    """The Makefile speaks of no key, or the key is there."""


@dataclass(frozen=True, slots=True)
class Makefile:
    """The rules of a Makefile that matter to us."""

    has_all: bool
    has_key: bool
    """Whether a rule makes the signing key: `${KEY}:`, for example."""
    wants_key: bool
    """Whether its text speaks of a signing key."""
    key: str
    """The name by which melange is told to find the signing key; `$(KEY)` gets it, too."""
    template: str
    """The form of a package's target; its fields are arch, name, version and epoch."""
    unread: frozenset[str] = frozenset()
    """Our variables that its calls of melange do not use, as far as its text tells."""
    other_key: str | None = None
    """The key that melange is told to sign with, whatever `$(KEY)` is."""
    finds_files: bool = False
    """Whether a target has the name of the definition's file, and not that of its package."""
    rules: frozenset[str] = frozenset()
    """The packages that have a rule `package/NAME` of their own."""
    calls: frozenset[str] = frozenset()
    """The names for which `build-package` is called, whose definitions are NAME.yaml."""
    is_given: bool = False
    """Whether somebody gave the template, so that the rules were not asked."""
    built_in: str = ""
    """The text, if it is dag's own, which stands for that of a directory without one."""
    known: MakefileTargets | None = None
    """All targets that it has rules for; None if its text does not tell."""
    stop: str = ""
    """In words, where make stops reading it."""
    own_calls: tuple[OwnCall, ...] = ()
    """Where it calls melange, and not $(MELANGE)."""

    @property
    def key_maker(self) -> KeyMaker:
        """Return who makes the key of a build that has none."""
        if self.has_key:
            return KeyMaker.RULE
        return KeyMaker.MELANGE if self.wants_key else KeyMaker.NOBODY

    def notes(self, *names: str) -> list[str]:
        """Return, in words, what follows if it does not use these variables."""
        unread = [name for name in names if name in self.unread]
        if self.other_key == self.key:  # which is made under that name
            unread = [name for name in unread if name != "KEY"]
        notes = [
            f"the Makefile does not use $({name}): {_UNREAD[name]}; see docs/makefiles.md"
            for name in unread
        ]
        if self.other_key not in (None, self.key) and not self.has_key:
            notes.append(
                f"the Makefile signs with {self.other_key} and has no rule that makes it, and dag"
                " makes keys beside the Makefile alone: sign with $(KEY); see docs/makefiles.md"
            )
        return notes

    def foreign_key_note(self, flag: str) -> str | None:
        """Return, in words, that packages are not signed with the key that `flag` names."""
        if self.other_key is None:
            return None
        return (
            f"the Makefile signs with {self.other_key}, whatever $(KEY) is, so {flag} does not"
            " reach melange: sign with $(KEY); see docs/makefiles.md"
        )

    def targets(self, packages: Iterable[Package], arch: Arch) -> list[str]:
        """Return the targets of the packages, in their order, each once."""
        return list(dict.fromkeys(self._target(package, arch) for package in packages))

    def target_notes(self, targets: Sequence[str]) -> list[str]:
        """Return, in words, why make will make none of its `targets`, or some of them not."""
        if self.stop:
            return [self.stop]
        if self.known is None:
            return []
        without = [one for one in targets if not self.known.have(one)]
        if not without:
            return []
        more = f" and {len(without) - 1:,} more" if len(without) > 1 else ""
        note = (
            f"the Makefile has no rule for {without[0]}{more}: if its targets have other names, say how"
            " they look with --target-template; see docs/makefiles.md"
        )
        return [note]

    def file_notes(self, packages: Iterable[Package]) -> list[str]:
        """Return, in words, whose definitions its rules do not find because the file has another name."""
        if self.is_given or self.built_in:
            return []
        return [
            f"{package.file}:{package.line}: this is {package.name}, for which the Makefile's rules "
            f"look in {package.name}.yaml; rename the file, or give it a rule"
            for package in packages
            if package.file_stem != package.name
            and package.name not in self.rules
            and not self._knows_file(package.file_stem)
        ]

    def _knows_file(self, stem: str) -> bool:
        """Return whether the rules make of this name of a file what is in it.

        Recipes take such a name for a word of shell, so one that a shell would run is none of them.
        """
        known = self.finds_files or stem in self.calls
        return known and _PLAIN.fullmatch(stem) is not None

    def variables(self, packages: Iterable[Package]) -> list[str]:
        """Return the assignments for make with which dag's own rules find definitions."""
        if not self.built_in:
            return []
        return [
            f"FILE-{package.name}-{package.full_version}={_quoted(package.file)}"
            for package in packages
            if package.file_stem != package.name
        ]

    def stem_of(self, package: Package) -> str:
        """Return the name by which the rules know a package: its own, or that of its file."""
        name, stem = package.name, package.file_stem
        by_file = not self.is_given and name not in self.rules and self._knows_file(stem)
        return stem if by_file else name

    def _target(self, package: Package, arch: Arch) -> str:
        return self.template.format(
            arch=arch.apk,
            name=self.stem_of(package),
            version=package.version,
            epoch=package.epoch,
        )


def _quoted(file: str) -> str:
    """Return the path of a file as make, and then a shell between double quotes, read it."""
    return _ACTIVE.sub(r"\\\g<0>", f"./{file}").replace("$", "$$")


NO_MAKEFILE = Makefile(
    has_all=False, has_key=False, wants_key=False, key=KEY, template=APK_TEMPLATE
)
"""Stands for the Makefile of a directory without one: the files that melange writes are targets."""


def read_makefile(text: str, template: str | None = None) -> Makefile:
    """Return the rules in a Makefile's text; `template` replaces what they say of targets.

    Raises:
        UsageError: `template` has an unknown field, or none that tells packages apart.

    """
    joined = text.replace("\\\n", " ")
    targets = [word for rule in _RULE.finditer(joined) for word in rule["targets"].split()]
    is_given = template is not None
    if template is None:
        by_name = any(word.startswith("package/") for word in targets) or _STATIC.search(text)
        template = NAME_TEMPLATE if by_name else APK_TEMPLATE
    other = _other_key(text)
    return Makefile(
        has_all="all" in targets,
        has_key=not _KEY_VARIABLE.isdisjoint(targets)
        or any(word in (other or KEY, "%.rsa") for word in targets),
        wants_key="--signing-key" in text or any(word in text for word in _KEY_VARIABLE),
        key=other if other and _FILE_NAME.fullmatch(other) else KEY,
        template=check_template(template),
        unread=frozenset(_unread(text)),
        other_key=other,
        finds_files=template == NAME_TEMPLATE and _FINDS_FILE.search(text) is not None,
        rules=frozenset(rule["name"] for rule in map(_BY_NAME.fullmatch, targets) if rule),
        calls=frozenset(call["name"] for call in _CALL.finditer(text)),
        is_given=is_given,
        known=known_targets(text),
    )


def built_in_text() -> str:
    """Return the Makefile of a directory that has none."""
    from pkgutil import get_data  # importlib.resources takes as long as reading 500 definitions

    return (get_data("dag.core.package", "builtin.mk") or b"").decode()


def built_in_makefile() -> Makefile:
    """Return the rules for a directory without a Makefile."""
    text = built_in_text()
    return replace(read_makefile(text), built_in=text, known=None)


def _other_key(text: str) -> str | None:
    """Return what stands behind `--signing-key` if it is one literal name, and not `$(KEY)`."""
    words = {found["word"].strip("'\"") for found in _SIGNING_KEY.finditer(text)}
    if len(words) != 1 or not words.isdisjoint(_KEY_VARIABLE):
        return None
    word = words.pop()
    if "$" in word:
        word = MakeText(text, {"KEY": UNKNOWN}).expand(word, {})
    word = word.removeprefix("./")
    return word if word and word.isprintable() and "$" not in word and UNKNOWN not in word else None


def included_patterns(line: str, expand: Callable[[str], str]) -> list[str]:
    """Return the files that a line of a Makefile includes, as the shell's patterns.

    `expand` returns a text of it with its references expanded, as far as they are known.
    """
    found = _INCLUDE.match(line)
    names = found["names"] if found else ""
    return [
        word for word in (expand(names) if "$" in names else names).split() if not mark_of(word)
    ]


def _unread(text: str) -> Iterator[str]:
    if "melange build" not in text.replace("$(MELANGE)", "melange").replace(
        "${MELANGE}", "melange"
    ):
        return
    if _INCLUDE.search(text) is None:
        for name in _UNREAD:
            # A recipe's shell sees them as its own variables, too.
            if not re.search(rf"(?<![$({{])(?=[({{]*\$)[$({{]+{name}\b", text):
                yield name


def check_template(template: str) -> str:
    """Return `template` if it can be filled in.

    Raises:
        UsageError: it has an unknown field, or does not contain the package's name.

    """
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise UsageError(
            f"the target template {template!r} is wrong: {error}",
            hint="write it like package/{name}",
        ) from error
    fields = {str(name) for _, name, _, _ in parts}
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise UsageError(
            f"the target template {template!r} has a field that is not written plainly",
            hint="write it like {name}, without a format",
        )
    if unknown := sorted(fields - _FIELDS):
        raise UsageError(
            f"the target template {template!r} has the unknown field {{{unknown[0]}}}",
            hint="the fields are {arch}, {name}, {version} and {epoch}",
        )
    if "name" not in fields:
        raise UsageError(
            f"the target template {template!r} gives all packages the same target",
            hint=f"it needs the field {{name}}, as in {NAME_TEMPLATE}",
        )
    return template
