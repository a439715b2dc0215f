"""The commands as they are declared."""

from __future__ import annotations

from collections.abc import Iterator

import click

from dag.cli.main import SUMMARIES, main


def context_of(command: click.Command, typed: str) -> click.Context:
    """Return the context that a command has when it is typed on a terminal of 80 columns."""
    # click keeps the help option that the first context made, so all contexts must name it alike.
    names = main.context_settings["help_option_names"]
    return click.Context(command, info_name=typed, terminal_width=78, help_option_names=names)


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield each command as it is typed; the commands of a group come after their group."""
    context = context_of(main, "dag")
    for name in SUMMARIES:
        command = main.get_command(context, name)
        assert command is not None
        yield f"dag {name}", command
        if isinstance(command, click.Group):
            for sub in command.list_commands(context):
                yield f"dag {name} {sub}", command.commands[sub]
