"""Every flag that an error names is one that there is, and that of `dag COMMAND` is one of this command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click

from dag.cli.agent import command as agent
from publish.declared import every_command

CHECKOUT = Path(__file__).resolve().parents[2]
COMMANDS = dict([*every_command(), ("dag agent", agent)])
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
QUOTED = re.compile(r"`([^`]*)`")
CALL = re.compile(r"`(dag [a-z][^`]*)`((?:(?:,| and| or) `--[^`]*`)*)")
"""A command in a sentence, and flags behind it that are meant to be its own."""


def flags_of(command: click.Command) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


KNOWN = {typed: flags_of(command) | {"--help"} for typed, command in COMMANDS.items()}


def unknown(text: str) -> set[str]:
    """Return the flags of a sentence that no command has."""
    ours = QUOTED.sub(lambda one: one[1] if one[1].startswith(("dag ", "--")) else "", text)
    return {*FLAG.findall(ours)}.difference(*KNOWN.values())


def misplaced(text: str) -> set[str]:
    """Return the calls of `dag` in a sentence whose command is none, or does not have one of the flags."""
    wrong = set()
    for call, more in CALL.findall(text):
        words = call.split()
        typed = next((one for one in map(" ".join, (words[:3], words[:2])) if one in KNOWN), "")
        if not typed or not KNOWN[typed].issuperset(FLAG.findall(call + more)):
            wrong.add(call)
    return wrong


def text_of(node: ast.expr) -> str:
    """Return the text of a string as it stands in a source, with … for what is not known there."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(text_of, parts))
        case ast.BinOp(left=left, right=right):
            return text_of(left) + text_of(right)
        case ast.IfExp(body=body, orelse=other):
            return f"{text_of(body)} / {text_of(other)}"
        case _:
            return "…"


def sentences() -> Iterator[tuple[str, str]]:
    """Yield each string of the sources, with its place."""
    for path in sorted((CHECKOUT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
                yield f"{path.relative_to(CHECKOUT)}:{node.lineno}", text_of(node)


def hints() -> Iterator[tuple[str, str]]:
    """Yield each hint of the sources, with its place."""
    for path in sorted((CHECKOUT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                yield f"{path.relative_to(CHECKOUT)}:{node.value.lineno}", text_of(node.value)


def listed() -> Iterator[tuple[str, str]]:
    for line in (CHECKOUT / "docs" / "errors.md").read_text().splitlines():
        if line.startswith("hint: "):
            yield line, line


def test_every_flag_that_a_hint_names_is_one_of_some_command() -> None:
    found = [*hints(), *listed()]
    assert sum(bool(FLAG.search(text)) for _, text in found) > 100
    assert {place: wrong for place, text in found if (wrong := unknown(text))} == {}


def test_every_call_of_dag_in_a_sentence_has_flags_of_its_command() -> None:
    found = [*sentences(), *listed()]
    assert sum(len(CALL.findall(text)) for _, text in found) > 100
    assert {place: wrong for place, text in found if (wrong := misplaced(text))} == {}


def test_what_is_wrong_is_found() -> None:
    assert unknown("give --sings, or --sign, or `gpg --sings`") == {"--sings"}
    right = "see `dag build --signing-key` and `--store`, or `dag store prune --gone`"
    assert misplaced(right) == set()
    wrong = "see `dag build --signing-key` and `--signing-key-name`, `dag status`, or `dag pood`"
    assert misplaced(wrong) == {"dag build --signing-key", "dag pood"}
