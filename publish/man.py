"""The manual pages, one a command, made from the declarations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import click

from dag import __version__
from dag.cli.examples import ExampleGroup
from dag.cli.main import SUMMARIES, main
from dag.cli.options import Command
from dag.cli.parameters import Argument
from publish.declared import context_of, every_command

EXIT_CODES = (
    ("0", "Everything that was asked for is done."),
    ("1", "The build failed, or what was asked for is not so."),
    ("2", "The request was wrong: a flag, an unknown package, or a bad definition."),
    ("3", "The environment failed: a program, the network, a registry or the cluster."),
    ("130", "Somebody interrupted the command."),
)


def manual_pages() -> dict[str, str]:
    """Return the text of each page in the language of man, by its file's name."""
    commands = [("dag", main), *every_command()]
    return {f"{_page(typed)}.1": "\n".join(_lines(typed, one)) + "\n" for typed, one in commands}


def _page(typed: str) -> str:
    return typed.replace(" ", "-")


def _lines(typed: str, command: click.Command) -> Iterator[str]:
    context = context_of(command, typed)
    summary, _, text = (command.help or "").partition("\n")
    yield f'.TH {_escaped(_page(typed).upper())} 1 "" "dag {__version__}" "dag"'
    yield ".SH NAME"
    yield rf"{_escaped(_page(typed))} \- {_escaped(summary.removesuffix('.'))}"
    yield ".SH SYNOPSIS"
    yield rf"\fB{_escaped(typed)}\fP {_escaped(' '.join(command.collect_usage_pieces(context)))}"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(f"{summary}\n{text}")
    if isinstance(command, Command):
        arguments = [one.flag for one in command.params if isinstance(one, Argument)]
        yield from _section("ARGUMENTS", ((one.metavar, one.text) for one in arguments))
        yield from _flags(command, context)
    if isinstance(command, click.Group):
        yield from _section("COMMANDS", _commands(typed, command))
    if isinstance(command, Command | ExampleGroup):
        yield ".SH EXAMPLES"
        for what, line in command.examples:
            yield from (".PP", _escaped(what), ".PP", ".RS", ".EX", _escaped(line), ".EE", ".RE")
    yield from _section("EXIT STATUS", EXIT_CODES)
    yield ".SH SEE ALSO"
    others = [one for one, _ in (("dag", main), *every_command()) if one != typed]
    yield ", ".join(rf"\fB{_escaped(_page(one))}\fP(1)" for one in others)


def _flags(command: Command, context: click.Context) -> Iterator[str]:
    yield ".SH OPTIONS"
    for heading, options in command.sections(context).items():
        yield f".SS {_escaped(heading)}"
        for record in filter(None, (one.get_help_record(context) for one in options)):
            yield from _entry(*record)


def _commands(typed: str, group: click.Group) -> Iterator[tuple[str, str]]:
    if group is main:
        yield from SUMMARIES.items()
        return
    for name, command in group.commands.items():
        yield name, f"{(command.help or '').partition(chr(10))[0]} See {_page(typed)}-{name}(1)."


def _section(heading: str, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    lines = [line for entry in entries for line in _entry(*entry)]
    if lines:
        yield from (f".SH {heading}", *lines)


def _entry(name: str, text: str) -> Iterator[str]:
    yield from (".TP", rf"\fB{_escaped(name)}\fP", _escaped(text))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield ".PP"
        yield _escaped(" ".join(paragraph.split()))


def _escaped(text: str) -> str:
    """Return a line of text that man shows as it is."""
    shown = text.replace("\\", r"\e").replace("-", r"\-")
    shown = re.sub(r"[^\x00-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", shown)
    return rf"\&{shown}" if shown.startswith((".", "'")) else shown
