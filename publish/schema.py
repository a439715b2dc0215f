"""The JSON schema of `dag.toml`, made from the declarations of the flags."""

from __future__ import annotations

import json
from typing import Any

import click

from dag.cli.main import SUMMARIES, main
from dag.cli.options import Command
from dag.cli.parameters import Option
from dag.core.flags import Flag, Shape
from dag.core.package.melangetable import KEYS, TABLE
from publish.declared import context_of

Schema = dict[str, Any]

_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
_VALUE: Schema = {"type": ["string", "integer", "number", "boolean"]}


def settings_schema() -> str:
    """Return the schema: for an editor, `#:schema PATH` in the first line of the file names it."""
    tables = {name: _options(name) for name in SUMMARIES}
    shared: Schema = {}
    for option in (one for options in tables.values() for one in options):
        flag = option.flag
        if flag.inside:
            table = shared.setdefault(flag.inside, _table(f"For every command: [{flag.inside}]."))
            table["properties"][flag.name] = _value(flag)
        elif flag.table:
            shared[flag.table] = {**_table(flag.text), "additionalProperties": _VALUE}
        elif not flag.command:
            shared[flag.key] = _value(flag)
    for name, options in tables.items():
        if properties := {one.flag.key: _value(one.flag) for one in options if _is_own(one.flag)}:
            shared[name] = _table(f"For `dag {name}` only.", properties)
    lists = {key: _TEXTS for key, field in KEYS.items() if field != "vars_file"}
    shared[TABLE] = _table(
        "What the Makefile's call of melange comes to, where its text does not tell.",
        {**lists, "vars-file": {"type": "string"}},
    )
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dag.toml",
        "type": "object",
        "properties": dict(sorted(shared.items())),
        "additionalProperties": False,
    }
    return f"{json.dumps(schema, indent=2)}\n"


def _options(section: str) -> list[Option]:
    """Return the flags that the file may set in a command, or in any of a group of commands."""
    command = main.get_command(context_of(main, "dag"), section)
    each = command.commands.values() if isinstance(command, click.Group) else [command]
    flags = [flag for one in each if isinstance(one, Command) for flag in one.flags]
    return [one for one in flags if one.flag.key and not one.flag.typed_only]


def _is_own(flag: Flag) -> bool:
    return not flag.table and not flag.inside


def _table(text: str, properties: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "description": text,
        "properties": properties or {},
        "additionalProperties": False,
    }


def _value(flag: Flag) -> Schema:
    described = {"description": flag.sentences}
    match flag.shape:
        case Shape.SWITCH:
            return {**described, "type": "boolean"}
        case Shape.SEVERAL:
            return {**described, "anyOf": [{"type": "string"}, _TEXTS]}
        case Shape.COUNT:
            return {**described, "type": "integer", "minimum": 0}
    if flag.kind is not None and flag.kind.choices:
        return {**described, "enum": list(flag.kind.choices)}
    return {**described, "type": ["string", "integer", "number"]}
