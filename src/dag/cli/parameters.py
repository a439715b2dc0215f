"""Declared flags and arguments as click's parameters."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dag.core.flags import Declared, Shape
from dag.core.kinds import PathRule, ValueKind
from dag.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# https://pkg.go.dev/strconv#ParseBool
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
"""Booleans as Go writes them."""
PLACES = "dag.settings"
"""In a context's meta: where `dag.toml` says what, parameter name → FILE:LINE."""


def parameter_of(one: Declared) -> click.Parameter:
    """Return the parameter of click for what was declared."""
    return Option(one) if one.flag.names else Argument(one)


class Option(click.Option):
    """A declared flag."""

    def __init__(self, one: Declared) -> None:
        """Have click read it as it was declared."""
        flag = one.flag
        attributes: dict[str, Any] = {}
        names = flag.names
        if flag.shape is Shape.SWITCH:
            names = (f"--{flag.name}/--no-{flag.name}", *(n for n in names if n[1] != "-"))
            attributes["default"] = flag.default == "true"
        elif flag.shape is Shape.COUNT:
            attributes |= {"count": True, "type": _Count()}
        else:
            attributes["type"] = _type(flag.kind)
            attributes["multiple"] = flag.shape is Shape.SEVERAL
            attributes["metavar"] = flag.placeholder or None
            if flag.default is not None:
                attributes["default"] = flag.default
        super().__init__(
            [*names, one.field],
            help=flag.sentences,
            required=flag.required,
            envvar=flag.variables or None,
            **attributes,
        )
        self.flag = flag
        self.heading = one.heading

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # noqa: ANN401  # click's own
        """Have a count begin at none again where it is said to be false."""
        super().add_to_parser(parser, ctx)
        if self.flag.shape is Shape.COUNT:
            parser.add_option(
                obj=self, opts=[self.uncounted], dest=self.name, action="store_const", const=0
            )

    @property
    def uncounted(self) -> str:
        """The word for a count of none, which no help lists."""
        return f"--no-{self.flag.name}"

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the names with what stands for the value, and what the flag does."""
        flag = self.flag
        notes = [" or ".join(f"${name}" for name in flag.variables)]
        notes += ["required"] if flag.required else []
        if flag.default_words and (flag.shape is not Shape.SWITCH or flag.default == "true"):
            notes.append(f"default: {flag.default_words}")
        note = "; ".join(filter(None, notes))
        return self.names_and_value(ctx), f"{flag.sentences}  [{note}]" if note else flag.sentences

    def names_and_value(self, ctx: click.Context) -> str:
        """Return the names with what stands for the value."""
        flag = self.flag
        names = ", ".join(sorted(flag.names, key=len))
        if flag.shape is Shape.SWITCH:
            return f"{names}[=false]" if flag.default == "true" else names
        return f"{names} {self.make_metavar(ctx)}" if flag.kind is not None else names

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return where the value came from."""
        flag = max(self.opts, key=len)
        if ctx is None:
            return flag
        match ctx.get_parameter_source(str(self.name)):
            case click.core.ParameterSource.DEFAULT_MAP:
                return f"{ctx.meta[PLACES][self.name]}: {flag.removeprefix('--')}"
            case click.core.ParameterSource.ENVIRONMENT:
                found = next((name for name in self.flag.variables if os.environ.get(name)), "?")
                return f"{flag} (from ${found})"
        return flag


class Argument(click.Argument):
    """A declared positional argument."""

    def __init__(self, one: Declared) -> None:
        """Have click read it as it was declared."""
        several = one.flag.shape is Shape.SEVERAL
        super().__init__(
            [one.field],
            type=_type(one.flag.kind),
            nargs=-1 if several else 1,
            required=one.flag.required,
            metavar=one.flag.metavar,
        )
        self.flag = one.flag


class _Type(click.ParamType[Any]):
    """A declared kind of value."""

    def __init__(self, kind: ValueKind[object]) -> None:
        self.kind = kind
        self.name = kind.metavar.lower()

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Read a text as its kind does, and have click say what is wrong with it."""
        if not isinstance(value, str):
            return value
        if not (self.kind.package or _names_path(param)):
            try:
                value.encode()
            except UnicodeEncodeError:
                self.fail(f"{value!r} is not UTF-8 text", param, ctx)
        try:
            return self.kind.parse(value)
        except UsageError as error:
            self.fail("; ".join(filter(None, (error.message, error.hint))), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the definitions of the directory whose names begin so, if they are asked for."""
        if not self.kind.package:
            return []
        from click.shell_completion import CompletionItem

        from dag.io.package.listing import list_directory

        directory = ctx.params.get("directory")
        if directory is None:  # what was typed is none
            return []
        try:
            names = list_directory(Path(directory)).yaml
        except UsageError:
            return []
        stems = (name.removesuffix(".yaml") for name in names)
        # A shell gets the others as they are: what ends a line there, and what no terminal shows.
        return [
            CompletionItem(stem)
            for stem in stems
            if stem.startswith(incomplete) and stem.isprintable()
        ]


def _names_path(param: click.Parameter | None) -> bool:
    """Return whether a text is the path of a file, whose name may have any bytes."""
    return isinstance(param, Option) and param.flag.metavar == "PATH"


class _Count(click.ParamType[int]):
    """How often a flag is given: a number, or whether it is given at all."""

    name = "count"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read what the environment or `dag.toml` says."""
        text = str(value).strip()
        if text in TRUE | FALSE:
            return int(text in TRUE)
        if not re.fullmatch("[0-9]{1,4}", text):
            self.fail(f"{text!r} is neither true or false nor a number", param, ctx)
        return int(text)


class _ChoiceType(click.Choice[str]):
    """One of some words, read as its kind reads it."""

    def __init__(self, kind: ValueKind[object]) -> None:
        super().__init__(kind.choices)
        self.kind = kind

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # noqa: ANN401  # what click's own answers
        """Refuse any other word."""
        if not isinstance(value, str):
            return value
        return self.kind.parse(super().convert(value, param, ctx))


class _Path(click.Path):
    """A path. One that is relative to a directory that was deleted is nobody's."""

    def __init__(self, rule: PathRule) -> None:
        super().__init__(
            exists=rule.exists,
            file_okay=rule.file,
            dir_okay=rule.directory,
            allow_dash=rule.dash,
        )

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Look for the path as it is to be looked for."""
        if not Path(value).is_absolute() and not (self.allow_dash and value == "-"):
            from dag.cli.workplace import check_workplace

            check_workplace()
        try:
            Path(value).stat()
        except OSError as error:
            if error.errno == errno.ELOOP:
                self.fail(f"{value}: its symbolic links lead in a circle", param, ctx)
        return super().convert(value, param, ctx)


class _PathOrUrl(_Path):
    """A path, or a URL, which is read as its kind reads it."""

    def __init__(self, kind: ValueKind[object], rule: PathRule) -> None:
        super().__init__(rule)
        self._url = _Type(kind)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Look at a URL without asking for it; look for a path as it is to be looked for."""
        if "://" in str(value):
            return str(self._url.convert(str(value), param, ctx))
        return super().convert(value, param, ctx)

    def split_envvar_value(self, rv: str) -> list[str]:
        """Split at spaces if there is a URL, which has colons, and else as paths are."""
        return rv.split() if "://" in rv else [*super().split_envvar_value(rv)]


def _type(kind: ValueKind[object] | None) -> click.ParamType[Any]:
    assert kind is not None  # noqa: S101  # only a flag without a value has none
    if kind.choices:
        return _ChoiceType(kind)
    if kind.path is not None:
        if kind.path.url:
            return _PathOrUrl(kind, kind.path)
        return _Path(kind.path)
    return _Type(kind)
