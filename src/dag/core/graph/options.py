"""The flags of the commands that ask the graph."""

from __future__ import annotations

from typing import ClassVar

from dag.core.flags import Options, argument, flag, flag_group, list_flag, required_flag, switch
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


@flag_group
class KnownRepositoryOptions(Options):
    """Repositories that the graph asks."""

    heading: ClassVar[str] = "Repositories"

    repositories: tuple[str, ...] = list_flag(
        PATH_OR_URL,
        "-r --repository",
        "Use what this repository has where no definition gives it, and to open cycles.",
    )


@flag_group
class GraphOptions(PackageOptions, DefinitionOptions, KnownRepositoryOptions, GeneralOptions):
    """A part of the graph: packages with what they need, or with what needs them."""

    heading: ClassVar[str] = "Selection"

    show_dependents: bool = switch(
        "--show-dependents -D",
        "Select what depends on the packages, in place of what they depend on.",
    )


@flag_group
class LineOptions(TargetOptions, JsonOptions):
    """The line that is printed of each package."""

    heading: ClassVar[str] = _OUTPUT

    kind: Kind = flag(_LINES, "-t --type", "Print this of each package.", default="target")


@flag_group
class TextOptions(GraphOptions, LineOptions):
    """The flags of `dag text`."""


@flag_group
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


@flag_group
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


@flag_group
class SvgOptions(GraphOptions, LessOptions, PictureOptions, JsonOptions):
    """The flags of `dag svg`."""


@flag_group
class AnswerOptions(JsonOptions):
    """An answer for people or for programs."""

    heading: ClassVar[str] = _OUTPUT

    kind: str = flag(
        _TEXT_OR_JSON,
        "-t --type",
        "Print words, or one JSON object a line.",
        default="text",
    )


@flag_group
class CyclesOptions(DefinitionOptions, KnownRepositoryOptions, AnswerOptions, GeneralOptions):
    """The flags of `dag cycles`."""


@flag_group
class PathOptions(DefinitionOptions, AnswerOptions):
    """The flags of `dag path`."""

    start: str = argument(PACKAGE, "A", "The package that needs the other one.")
    goal: str = argument(PACKAGE, "B", "The package that is needed.")


@flag_group
class ChangeOptions(Options):
    """The files that count as changed, and how far that reaches."""

    heading: ClassVar[str] = "Selection"

    since: str = required_flag(
        TEXT, "--since", "Compare the files with this commit, tag or branch.", metavar="GITREF"
    )
    direct: bool = switch(
        "--direct", "Print only what the changed files concern, not what needs that."
    )


@flag_group
class AffectedOptions(DefinitionOptions, ChangeOptions, LineOptions, GeneralOptions):
    """The flags of `dag affected`."""
