"""The flags of the commands that ask the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dag.core.flags import Options, argument, flag, list_flag, required_flag, switch
from dag.core.graph.draw import Kind
from dag.core.kinds import FILE_OR_STDOUT, PACKAGE, PATH_OR_URL, TEXT, ValueKind, choice, whole
from dag.core.package.options import (
    DefinitionOptions,
    GeneralOptions,
    JsonOptions,
    PackageOptions,
    TargetOptions,
)

_OUTPUT = "Output"
_LINES = ValueKind(metavar="", parse=Kind, choices=tuple(kind.value for kind in Kind))
_TEXT_OR_JSON = choice("text", "json")


@dataclass(frozen=True, kw_only=True)
class KnownRepositoryOptions(Options):
    """Repositories that the graph asks."""

    heading: ClassVar[str] = "Repositories"

    repositories: tuple[str, ...] = list_flag(
        PATH_OR_URL,
        "-r --repository",
        "Use what this repository has where no definition gives it, and to open cycles.",
    )


@dataclass(frozen=True, kw_only=True)
class GraphOptions(PackageOptions, DefinitionOptions, KnownRepositoryOptions, GeneralOptions):
    """A part of the graph: packages with what they need, or with what needs them."""

    heading: ClassVar[str] = "Selection"

    show_dependents: bool = switch(
        "--show-dependents -D",
        "Select what depends on the packages, in place of what they depend on.",
    )


@dataclass(frozen=True, kw_only=True)
class LineOptions(TargetOptions, JsonOptions):
    """The line that is printed of each package."""

    heading: ClassVar[str] = _OUTPUT

    kind: Kind = flag(_LINES, "-t --type", "Print this of each package.", default="target")


@dataclass(frozen=True, kw_only=True)
class TextOptions(GraphOptions, LineOptions):
    """The flags of `dag text`."""


@dataclass(frozen=True, kw_only=True)
class PictureOptions(Options):
    """File and format of a picture."""

    heading: ClassVar[str] = _OUTPUT

    out: str | None = flag(
        FILE_OR_STDOUT,
        "-o --out",
        "Write the picture to this file; - is the standard output.",
        shown="dag.svg or dag.dot",
        command="svg",
    )
    form: str = flag(
        choice("svg", "dot"),
        "--format",
        "Write a picture, or the description of it in the language of Graphviz.",
        default="svg",
    )


@dataclass(frozen=True, kw_only=True)
class LessOptions(Options):
    """Ways to draw less."""

    heading: ClassVar[str] = "Selection"

    depth: int | None = flag(
        whole(0),
        "--depth",
        "Draw only what is at most so many edges away from the packages.",
        shown="all that they lead to",
    )
    reduce: bool = switch(
        "--reduce", "Leave out each edge that follows from others: a → c beside a → b and b → c."
    )


@dataclass(frozen=True, kw_only=True)
class SvgOptions(GraphOptions, LessOptions, PictureOptions):
    """The flags of `dag svg`."""


@dataclass(frozen=True, kw_only=True)
class AnswerOptions(JsonOptions):
    """An answer for people or for programs."""

    heading: ClassVar[str] = _OUTPUT

    kind: str = flag(
        _TEXT_OR_JSON,
        "-t --type",
        "Print words, or one JSON object a line.",
        default="text",
    )


@dataclass(frozen=True, kw_only=True)
class CyclesOptions(DefinitionOptions, KnownRepositoryOptions, AnswerOptions, GeneralOptions):
    """The flags of `dag cycles`."""


@dataclass(frozen=True, kw_only=True)
class PathOptions(DefinitionOptions, AnswerOptions):
    """The flags of `dag path`."""

    start: str = argument(PACKAGE, "A", "The package that needs the other one.")
    goal: str = argument(PACKAGE, "B", "The package that is needed.")


@dataclass(frozen=True, kw_only=True)
class ChangeOptions(Options):
    """The files that count as changed, and how far that reaches."""

    heading: ClassVar[str] = "Selection"

    since: str = required_flag(
        TEXT, "--since", "Compare the files with this commit, tag or branch.", metavar="GITREF"
    )
    direct: bool = switch(
        "--direct", "Print only what the changed files concern, not what needs that."
    )


@dataclass(frozen=True, kw_only=True)
class AffectedOptions(DefinitionOptions, ChangeOptions, LineOptions, GeneralOptions):
    """The flags of `dag affected`."""
