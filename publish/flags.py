"""The page docs/flags.md, which is made from the declarations of the flags."""

from __future__ import annotations

from collections.abc import Iterator

from dag.cli.options import Command
from dag.cli.parameters import Argument, Option
from publish.declared import context_of, every_command

INTRODUCTION = """\
# Flags

What every flag is called, in the environment and in `dag.toml`, too. `make golden` writes this page
from the declarations of the flags in `src/dag/core`.

A value comes from the command line, else from the environment, else from `dag.toml` in the directory
of the definitions (`--dir`), else it is the default. In `dag.toml` a key counts for every command
that has the flag, and below `[COMMAND]` for that command only, which goes before; `dag doctor` reads
`[pod]`, too, and all of `dag setup` reads `[setup]`. Paths in `dag.toml` are relative to that
directory, all others to where `dag` runs.

A flag may be of no use without another one, as `--queue` is without `--on kubernetes`. Who types it on
the command line without that is told so, and nothing is done. In the environment and in `dag.toml` it
is passed over instead: what a cluster needs there stops no build on this machine.

A flag that is true or false takes `--watch`, `--watch=false` or `--no-watch`. Durations are written
as in Go (`90s`, `1h30m`), quantities as in Kubernetes (`500m`, `2Gi`). A flag that may be given
several times is a list in `dag.toml`. In the environment its values have spaces between them, or
colons if all of them are paths.
"""


def reference() -> str:
    """Return the text of the page."""
    parts = [INTRODUCTION]
    for typed, command in every_command():
        if isinstance(command, Command):
            parts.append("\n".join(_section(typed, command)))
    return "\n".join(parts)


def _section(typed: str, command: Command) -> Iterator[str]:
    yield f"## `{typed}`"
    yield ""
    yield (command.help or "").partition("\n")[0]
    yield ""
    arguments = [one.flag for one in command.params if isinstance(one, Argument)]
    if arguments:
        yield from (f"- `{one.metavar}`: {one.text}" for one in arguments)
        yield ""
    if not command.flags:
        return
    yield "| flag | variable | dag.toml | default | |"
    yield "|---|---|---|---|---|"
    for heading, options in command.sections(context_of(command, typed)).items():
        rows = [_row(one, command) for one in options if isinstance(one, Option)]
        if rows:
            yield from (f"| **{heading}** | | | | |", *rows)
    yield ""


def _row(one: Option, command: Command) -> str:
    flag = one.flag
    names = one.names_and_value(context_of(command, ""))
    variables = ", ".join(f"`{name}`" for name in flag.variables)
    key = "" if flag.typed_only or not flag.key else _key(one, command)
    default = flag.shown or (f"`{flag.default}`" if flag.default else "")
    default = "required" if flag.required else default
    return (
        f"| `{_cell(names)}` | {variables} | {key} | {_cell(default)} | {_cell(flag.sentences)} |"
    )


def _key(one: Option, command: Command) -> str:
    flag = one.flag
    if flag.table:
        return f"`[{flag.table}]`"
    table = f" in `[{command.section}]`" if flag.command else ""
    return f"`{flag.key}`{table}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
