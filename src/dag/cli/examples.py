"""How `--help` is shown, and the examples in it.

`dag --help` imports this, so it imports nothing but click.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    Examples = Sequence[tuple[str, str]]
    """For each, what it does and the command as it is typed."""


class HelpedCommand(click.Command):
    """A command whose `--help` goes to the standard output as everything else does."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return click's own option, with an end like that of a command."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show_help
        return option


def _show_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's
    if wanted and not ctx.resilient_parsing:
        from dag.report.stdout import put

        put((f"{ctx.get_help()}\n".encode(),), at_once=True)
        ctx.exit()


class ExampleGroup(HelpedCommand, click.Group):
    """A group of commands whose help has examples."""

    def __init__(self, *, examples: Examples = (), **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(**attributes)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the commands are for, and the examples."""
        super().format_help_text(ctx, formatter)
        write_examples(self.examples, formatter)


def write_examples(examples: Examples, formatter: click.HelpFormatter) -> None:
    """Write each command below a comment that says what it does."""
    with formatter.section("Examples"):
        indent = " " * formatter.current_indent
        written = (f"{indent}# {text}\n{indent}{line}\n" for text, line in examples)
        formatter.write("\n".join(written))
