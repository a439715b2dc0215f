"""Makes click's commands from declared options: the only place where a declaration meets click.

A value comes from the flag, else the environment, else `dag.toml` in the directory of the
definitions, else the default. Booleans are written as in Go: `--watch=false`, `-w=false`, a bare
`--watch`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dag.cli.examples import write_examples
from dag.core.flags import GENERAL, Declared, Options, Shape, declared
from dag.core.kinds import ValueKind
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.cli.examples import Examples

T = TypeVar("T", bound=Options)

# https://pkg.go.dev/strconv#ParseBool
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})

PLACES = "dag.settings"
"""In a context's meta: where `dag.toml` says what, parameter name → FILE:LINE."""


def command_of(
    options: type[T], *examples: tuple[str, str], section: str = ""
) -> Callable[[Callable[[T], int | None]], Command]:
    """Make a function one of dag's commands; it is called with one object of these options.

    An example is a sentence and the command as it is typed. The command has the name of its module,
    or of the function if that is not `command`, and a table in `dag.toml` of that name or `section`.
    """

    def decorate(function: Callable[[T], int | None]) -> Command:
        make: Callable[..., T] = options

        def callback(**values: object) -> int | None:
            return function(make(**values))

        module = function.__module__.rpartition(".")[2]
        return Command(
            name=module if function.__name__ == "command" else function.__name__,
            callback=callback,
            help=function.__doc__,
            params=[_parameter(one) for one in declared(options)],
            examples=examples,
            section=section,
        )

    return decorate


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
            attributes["count"] = True
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


class Command(click.Command):
    """A command with Go-style booleans, `dag.toml`, and a `--help` in groups with examples."""

    def __init__(
        self,
        *,
        examples: Examples = (),
        section: str = "",
        **attributes: Any,  # noqa: ANN401  # those of click's command
    ) -> None:
        super().__init__(**attributes)
        self.examples = examples
        self.section = section or str(self.name)
        """The command's table in `dag.toml`."""

    @property
    def flags(self) -> list[Option]:
        """The flags, without `--help`."""
        return [one for one in self.params if isinstance(one, Option)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite the booleans, read `dag.toml`, then parse as click does."""
        args = self.rewrite_booleans(ctx, args)
        directory = self._directory(ctx, args)
        if directory is not None:
            from dag.cli.settings import read_settings

            ctx.default_map = read_settings(directory, self, ctx)
        left = super().parse_args(ctx, args)
        for one in self.flags:
            # One more assignment does not undo the others; of the same name the last one counts.
            name = str(one.name)
            below = (ctx.default_map or {}).get(name, ()) if one.flag.table else ()
            source = ctx.get_parameter_source(name)
            if below and source is not click.core.ParameterSource.DEFAULT_MAP:
                ctx.params[name] = (*below, *ctx.params[name])
        return left

    def rewrite_booleans(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        """Replace `--watch=false` by `--no-watch`, and so on.

        It walks as click's parser will, so that words after `--` and values stay as they are.
        """
        options = {
            name: parameter
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            for name in parameter.opts
        }
        rewritten: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rewritten += [word, *words]
                break
            name, equals, value = word.partition("=")
            option = options.get(name)
            if option is None or not word.startswith("-"):
                rewritten.append(word)
            elif option.is_bool_flag and equals:
                if value not in _TRUE | _FALSE:
                    message = f"{name} takes true or false, not {value!r}"
                    raise click.BadOptionUsage(name, message, ctx=ctx)
                rewritten.append(name if value in _TRUE else option.secondary_opts[0])
            else:
                rewritten.append(word)
                if not option.is_flag and not option.count and not equals:
                    rewritten += [value for value in (next(words, None),) if value is not None]
        return rewritten

    def _directory(self, ctx: click.Context, args: Sequence[str]) -> str | None:
        option = next((one for one in self.flags if one.flag.finds_file), None)
        if option is None:
            return None
        try:
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
        except click.UsageError:
            return None  # the real parse says it better
        value, _ = option.consume_value(ctx, given)
        return str(value)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage, what the command does, examples, arguments, and flags below headings."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        if self.examples:
            write_examples(self.examples, formatter)
        arguments = [one.flag for one in self.params if isinstance(one, Argument)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl([(one.metavar, one.text) for one in arguments])
        for heading, records in self._sections(ctx).items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def _sections(self, ctx: click.Context) -> Mapping[str, Sequence[tuple[str, str]]]:
        sections: dict[str, list[tuple[str, str]]] = {}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx) if isinstance(one, click.Option) else None
            if record is not None:
                heading = one.heading if isinstance(one, Option) else GENERAL
                sections.setdefault(heading, []).append(record)
        return sections


def _parameter(one: Declared) -> click.Parameter:
    return Option(one) if one.flag.names else Argument(one)


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
        try:
            return self.kind.parse(value)
        except UsageError as error:
            self.fail("; ".join(filter(None, (error.message, error.hint))), param, ctx)


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


def _type(kind: ValueKind[object] | None) -> click.ParamType[Any]:
    assert kind is not None  # noqa: S101  # only a flag without a value has none
    if kind.choices:
        return _ChoiceType(kind)
    if kind.path is not None:
        return click.Path(
            exists=kind.path.exists,
            file_okay=kind.path.file,
            dir_okay=kind.path.directory,
            allow_dash=kind.path.dash,
        )
    return _Type(kind)
