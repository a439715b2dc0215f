"""What the flags of every command have in common.

Values come from the flag, else the environment, else `dag.toml` in the definitions directory, else
the default. Booleans are written as in Go: `--watch=false`, `-w=false`, a bare `--watch`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from dag.cli.settings import Option, OwnOption, read_settings
from dag.core.arch import ARCHITECTURES, Arch
from dag.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

# https://pkg.go.dev/strconv#ParseBool
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Command(click.Command):
    """A command with Go-style booleans and `dag.toml`; `section` is its table there, if not its name."""

    def __init__(self, *args: Any, section: str | None = None, **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **attributes)
        self.section = section or str(self.name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite the booleans, read `dag.toml`, then parse as click does."""
        args = self._rewrite_booleans(ctx, args)
        directory = self._directory(ctx, args)
        if directory is not None:
            ctx.default_map = read_settings(directory, self, ctx)
        left = super().parse_args(ctx, args)
        common = (ctx.default_map or {}).get("make_vars", ())
        source = ctx.get_parameter_source("make_vars")
        if common and source is not click.core.ParameterSource.DEFAULT_MAP:
            # One more assignment does not undo the others; of the same name the last one counts.
            ctx.params["make_vars"] = (*common, *ctx.params["make_vars"])
        return left

    def _rewrite_booleans(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Walks as click's parser will, so that words after `--` and option values stay as they are.
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

    def _directory(self, ctx: click.Context, args: list[str]) -> str | None:
        option = next((p for p in self.get_params(ctx) if p.name == "directory"), None)
        if option is None:
            return None
        try:
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
        except click.UsageError:
            return None  # the real parse says it better
        value, _ = option.consume_value(ctx, given)
        return str(value)


def command(**attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:  # noqa: ANN401
    """Make a function one of dag's commands."""
    return click.command(cls=Command, **attributes)


def option(
    *names: str,
    env: str | None = None,
    own: str | None = None,
    **attributes: Any,  # noqa: ANN401
) -> Callable[[F], F]:
    """Declare a flag that may also come from the environment: `DAG_` and its name, or `env`.

    `own` is the command of a flag that means something else in others: it is part of the variable's
    name, and in `dag.toml` the flag is in the command's table only.
    """
    first = next(name for name in names if name.startswith("--"))
    long = first.split("/")[0].removeprefix("--")
    attributes["cls"] = Option if own is None else OwnOption
    if own is not None:
        long = f"{own}-{long}"
    variables = [f"DAG_{long.upper().replace('-', '_')}", *([env] if env else [])]
    attributes.setdefault("show_default", attributes.get("default") is not None)
    return click.option(*names, envvar=variables, show_envvar=True, **attributes)


def switch(name: str, *short: str, default: bool, help: str) -> Callable[[F], F]:  # noqa: A002
    """Declare a boolean flag `--name`, with `--no-name` as its twin."""
    return option(f"--{name}/--no-{name}", *short, default=default, help=help)


class ArchType(click.ParamType[Any]):
    """An architecture by any of its names."""

    name = "arch"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Arch:
        """Turn `amd64`, `x86_64`, `arm64` and so on into an `Arch`."""
        if isinstance(value, Arch):
            return value
        try:
            return Arch.parse(str(value))
        except UsageError as error:
            self.fail(error.message, param, ctx)


class ArchsType(ArchType):
    """One architecture or several, with commas between them."""

    name = "arch[,arch]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # noqa: ANN401  # what a ParamType answers
        """Turn `amd64,arm64` into a tuple of `Arch`, each once."""
        if isinstance(value, tuple):
            return value
        names = [name.strip() for name in str(value).split(",")]
        return tuple(
            dict.fromkeys(super(ArchsType, self).convert(name, param, ctx) for name in names)
        )


class NameType(click.ParamType[Any]):
    """A name as Kubernetes has them (RFC 1123): a path of its API is made of it."""

    name = "name"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Refuse what no object can be called."""
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", str(value)):
            self.fail(
                f"{value!r} is no name in Kubernetes: lower-case letters, digits and -", param, ctx
            )
        return str(value)


class DurationType(click.ParamType[Any]):
    """A duration as Go writes it, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Turn `1h30m` into 5400.0."""
        from dag.core.units import duration

        if isinstance(value, int | float):
            return float(value)
        try:
            return duration(str(value))
        except UsageError as error:
            self.fail(error.message, param, ctx)


class QuantityType(click.ParamType[Any]):
    """A Kubernetes quantity, kept as it was written."""

    name = "quantity"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Check `500m`, `2Gi` and so on; a negative or empty one is refused."""
        from dag.core.units import quantity

        try:
            quantity(str(value))
        except UsageError as error:
            self.fail(error.message, param, ctx)
        return str(value)


directory = option(
    "-d",
    "--dir",
    "directory",
    type=click.Path(exists=True, file_okay=False),
    default=".",
    help="Directory of the definitions.",
)
arch = option(
    "-a",
    "--arch",
    type=ArchType(),
    default="x86_64",
    help=f"Architecture: {', '.join(ARCHITECTURES)}, or its OCI name.",
)
archs = option(
    "-a",
    "--arch",
    type=ArchsType(),
    default="x86_64",
    help=f"Architectures, with commas between: {', '.join(ARCHITECTURES)}, or their OCI names.",
)
pipeline_dirs = option(
    "--pipeline-dir",
    "pipeline_dirs",
    type=click.Path(exists=True, file_okay=False),
    multiple=True,
    help="More pipelines, asked before the built-in ones.",
)
build_options = option(
    "--build-option",
    "build_options",
    multiple=True,
    metavar="NAME",
    help="Enable this option of the definitions, as melange's flag of that name does.",
)
repositories = option(
    "-r",
    "--repository",
    "repositories",
    type=click.Path(),
    multiple=True,
    metavar="URL|DIR",
    help="What this repository has need not be built; melange gets it too.",
)
keyrings = option(
    "--keyring",
    "keyrings",
    type=click.Path(),
    multiple=True,
    metavar="FILE",
    help="Public key of a repository.",
)
make_vars = option(
    "--make-var", "make_vars", multiple=True, metavar="NAME=VALUE", help="Assignment for make."
)
target_template = option(
    "--target-template", help="How a package becomes a make target, like package/{name}."
)
only = switch("only", default=False, help="Build just these, not what they depend on.")
verbose = option("-v", "--verbose", count=True, help="Say more.")
