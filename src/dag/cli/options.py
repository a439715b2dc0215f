"""Makes click's commands from declared options: the only place where a declaration meets click.

A value comes from the flag, else the environment, else `dag.toml` in the directory of the
definitions, else the default. Booleans are written as in Go: `--watch=false`, `-w=false`, a bare
`--watch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dag.cli.examples import HelpedCommand, write_examples
from dag.cli.interrupts import clean_up_when_told
from dag.cli.parameters import FALSE, TRUE, Argument, Option, parameter_of
from dag.core.flags import GENERAL, Options, Shape, flags_of
from dag.core.package.options import GeneralOptions
from dag.errors import UsageError
from dag.report.terminal import Manner, behave

if TYPE_CHECKING:
    from dag.cli.examples import Examples

T = TypeVar("T", bound=Options)


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
            given = make(**values)
            check_use(given, click.get_current_context())
            if isinstance(given, GeneralOptions):
                behave(Manner(quiet=given.quiet, color=given.color))
            return function(given)

        module = function.__module__.rpartition(".")[2]
        return Command(
            name=module if function.__name__ == "command" else function.__name__,
            callback=callback,
            help=function.__doc__,
            params=[parameter_of(one) for one in flags_of(options)],
            options=options,
            examples=examples,
            section=section,
        )

    return decorate


def check_use(options: Options, ctx: click.Context) -> None:
    """Check that each flag that was typed is of use with the others.

    The environment and `dag.toml` may have flags that are not: they are for other commands, too.

    Raises:
        UsageError: one is of none.

    """
    useless: dict[str, list[str]] = {}
    for one, needed in options.useless_flags():
        is_typed = ctx.get_parameter_source(one.field) is click.core.ParameterSource.COMMANDLINE
        is_undone = (
            one.flag.shape is Shape.SWITCH
            and one.flag.default == str(getattr(options, one.field)).lower()
        )
        if is_typed and not is_undone:
            useless.setdefault(needed, []).append(f"--{one.flag.name}")
    for needed, names in useless.items():
        other = needed.partition(": ")[0]
        are, them = ("are", "them") if len(names) > 1 else ("is", "it")
        raise UsageError(
            f"{' and '.join(names)} {are} of no use without {needed}",
            hint=f"leave {them} out, or give {other}",
        )


class Command(HelpedCommand):
    """A command with Go-style booleans, `dag.toml`, and a `--help` in groups with examples."""

    def __init__(
        self,
        *,
        options: type[Options],
        examples: Examples = (),
        section: str = "",
        **attributes: Any,  # noqa: ANN401  # those of click's command
    ) -> None:
        super().__init__(**attributes)
        self.options = options
        self.examples = examples
        self.section = section or str(self.name)
        """The command's table in `dag.toml`."""

    @property
    def flags(self) -> list[Option]:
        """The flags, without `--help`."""
        return [one for one in self.params if isinstance(one, Option)]

    def invoke(self, ctx: click.Context) -> object:
        """Run the command, which from now on cleans up before it ends."""
        clean_up_when_told()
        return super().invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite the booleans, read `dag.toml`, then parse as click does."""
        if ctx.resilient_parsing:  # a shell completes the line, and hears no complaints
            return super().parse_args(ctx, args)
        from dag.cli.settings import check_typed_values, check_variables, read_settings

        args = self.rewrite_booleans(ctx, args)
        directory = self._early(ctx, args, "directory")
        if directory is not None:
            on = self._early(ctx, args, "on") or ""
            ctx.default_map = read_settings(directory, self, self.section, ctx, on=on)
        check_variables(self)
        left = self._parse(ctx, args)
        check_typed_values(self, ctx)
        for one in self.flags:
            # One more assignment does not undo the others; of the same name the last one counts.
            name = str(one.name)
            below = (ctx.default_map or {}).get(name, ()) if one.flag.table else ()
            source = ctx.get_parameter_source(name)
            if below and source is not click.core.ParameterSource.DEFAULT_MAP:
                ctx.params[name] = (*below, *ctx.params[name])
        return left

    def _parse(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # click would suggest `--no-watch`, too, which no help lists.
            listed = [name for one in self.get_params(ctx) for name in one.opts if name[0] == "-"]
            name = error.option_name
            raise click.NoSuchOption(name, possibilities=listed, ctx=ctx) from None
        except click.MissingParameter as error:
            # A list of choices is on lines of its own.
            message = " ".join(error.format_message().split()).rstrip(".")
            raise click.UsageError(f"{message}.{self._example()}", ctx=ctx) from None
        except click.UsageError as error:
            if error.message.startswith("Got unexpected extra"):
                raise click.UsageError(f"{error.message}.{self._example()}", ctx=ctx) from None
            raise

    def _example(self) -> str:
        return f" Write it like `{self.examples[0][1]}`." if self.examples else ""

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
                if value not in TRUE | FALSE:
                    message = f"{name} takes true or false, not {value!r}"
                    raise click.BadOptionUsage(name, message, ctx=ctx)
                rewritten.append(name if value in TRUE else option.secondary_opts[0])
            elif isinstance(option, Option) and option.count and equals:
                rewritten.append(option.uncounted)
                rewritten += [name] * int(option.type.convert(value, option, ctx))
            else:
                rewritten.append(word)
                if not option.is_flag and not option.count and not equals:
                    rewritten += [value for value in (next(words, None),) if value is not None]
        return rewritten

    def _early(self, ctx: click.Context, args: Sequence[str], field: str) -> str | None:
        """Return the value of a flag that counts before `dag.toml` is read; None if there is none."""
        option = next((one for one in self.flags if one.name == field), None)
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
        for heading, options in self.sections(ctx).items():
            with formatter.section(heading):
                formatter.write_dl(filter(None, (one.get_help_record(ctx) for one in options)))

    def sections(self, ctx: click.Context) -> Mapping[str, Sequence[click.Option]]:
        """Return the flags below their headings, with `--help`."""
        sections: dict[str, list[click.Option]] = {}
        for one in self.get_params(ctx):
            if isinstance(one, click.Option):
                heading = one.heading if isinstance(one, Option) else GENERAL
                sections.setdefault(heading, []).append(one)
        return sections
