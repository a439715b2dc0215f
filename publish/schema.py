"""The JSON schema of `dag.toml`, made from the declarations of the flags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dag.cli.main import SUMMARIES
from dag.cli.options import Command
from dag.core.flags import Flag, Shape
from dag.core.package.melangetable import KEYS, TABLE
from publish.declared import every_command

Schema = dict[str, Any]

_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
_VALUE: Schema = {"type": ["string", "integer", "number", "boolean"]}


def settings_schema() -> str:
    """Return the schema: for an editor, `#:schema PATH` in the first line of the file names it."""
    flags = [*_flags()]
    inside = {flag.inside for _, flag in flags if flag.inside}
    shared = _properties((typed, one) for typed, one in flags if _is_own(one) and not one.command)
    for name in inside:
        own = ((typed, one) for typed, one in flags if one.inside == name)
        shared[name] = _table(f"For every command: [{name}].", _properties(own))
    for flag in (one for _, one in flags if one.table):
        shared[flag.table] = {**_table(flag.text), "additionalProperties": _VALUE}
    for name in SUMMARIES:
        own = ((typed, one) for typed, one in flags if typed.split()[1] == name and _is_own(one))
        if properties := _properties(own):
            table = _table(f"For `dag {name}` only.", properties)
            # A flag may have the name of a command.
            shared[name] = {"anyOf": [shared[name], table]} if name in shared else table
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


def _flags() -> Iterator[tuple[str, Flag]]:
    """Yield the flags that the file may set, each with the command that has it, as that is typed."""
    for typed, command in every_command():
        for one in command.flags if isinstance(command, Command) else ():
            if one.flag.key and not one.flag.typed_only:
                yield typed, one.flag


def _properties(flags: Iterable[tuple[str, Flag]]) -> Schema:
    """Return what the keys of a table are; commands may mean different things by one key."""
    by_key: dict[str, list[tuple[str, Flag]]] = {}
    for typed, flag in flags:
        by_key.setdefault(flag.name if flag.inside else flag.key, []).append((typed, flag))
    return {key: _united(having) for key, having in by_key.items()}


def _united(having: Sequence[tuple[str, Flag]]) -> Schema:
    """Return what a key is for all the commands that have it."""
    commands: dict[str, list[str]] = {}
    values = [_value(flag) for _, flag in having]
    for (typed, _), value in zip(having, values, strict=True):
        commands.setdefault(value["description"], []).append(f"`{typed}`")
    united = values[0]
    if len(commands) > 1:
        told = (f"{', '.join(typed)}: {text}" for text, typed in commands.items())
        united["description"] = " ".join(told)
    if "enum" in united:
        united["enum"] = [*dict.fromkeys(word for value in values for word in value["enum"])]
    return united


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
            return {**described, "type": ["integer", "boolean"], "minimum": 0}
    if flag.kind is not None and flag.kind.choices:
        return {**described, "enum": list(flag.kind.choices)}
    return {**described, "type": ["string", "integer", "number"]}
