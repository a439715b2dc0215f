"""`dag.toml` in the definitions directory: the same names as the flags, one place a project.

```toml
bundle-repo = "registry.example.com/dag"   # for every command that has the flag
[make]                                     # command-line assignments for make
BOOTSTRAP = "yes"
[pod]                                      # for one command only
cpu = "8"
```

Paths are relative to that directory; those of flags and of the environment to where `dag` runs.
"""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from dag.errors import UsageError

FILE_NAME = "dag.toml"
# A command that examines what another would do goes by what that one is told.
_EXAMINES = {"doctor": "pod"}


def read_settings(directory: str, command: click.Command) -> dict[str, Any]:
    """Read what `dag.toml` says for `command`, as click's default map: parameter name → value.

    Raises:
        UsageError: the file is no TOML, a key belongs to no flag, or a value has another type.

    """
    path = Path(directory) / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="the file must be TOML in UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error

    from dag.cli.main import COMMANDS

    own = _own(path, table, command)
    others = {name for name in COMMANDS if isinstance(table.get(name), dict)}
    shared = {key: value for key, value in table.items() if key not in others}
    settings: dict[str, Any] = {}
    for key, value in shared.items():
        parameter = _parameter(command, key)
        if parameter is not None:
            settings[str(parameter.name)] = _value(path, text, key, value, parameter)
        elif key not in _known_anywhere():
            raise _unknown(path, text, key, _known_anywhere())
    for key, value in own.items():
        parameter = _parameter(command, key)
        if parameter is None:
            raise _unknown(path, text, key, _keys(command))
        settings[str(parameter.name)] = _value(path, text, key, value, parameter)
    return settings


def _own(path: Path, table: dict[str, Any], command: click.Command) -> dict[str, Any]:
    """Take out of `table` what is for this command alone."""
    own: dict[str, Any] = {}
    for name in (_EXAMINES.get(str(command.name)), command.name):
        part = table.pop(name, {}) if name else {}
        if not isinstance(part, dict):
            raise UsageError(f"{path}: {name} must be a table, like [{name}]")
        own |= part
    return own


def _keys(command: click.Command) -> dict[str, click.Option]:
    keys: dict[str, click.Option] = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in ("directory", "help"):
            long = max(parameter.opts, key=len).removeprefix("--")
            keys["make" if parameter.name == "make_vars" else long] = parameter
    return keys


def _parameter(command: click.Command, key: str) -> click.Option | None:
    return _keys(command).get(key)


def _known_anywhere() -> dict[str, click.Option]:
    # Reached only for a key that this command does not have, so the imports are worth their time.
    from dag.cli.main import COMMANDS, main

    known: dict[str, click.Option] = {}
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        if command is not None:
            known |= _keys(command)
    return known


def _value(path: Path, text: str, key: str, value: object, parameter: click.Option) -> object:
    where = f"{path}:{_line(text, key)}"
    if parameter.name == "make_vars":
        if not isinstance(value, dict) or any(isinstance(v, dict | list) for v in value.values()):
            raise UsageError(f'{where}: [make] holds NAME = "VALUE" lines')
        return [f"{name}={_text(item)}" for name, item in value.items()]
    if parameter.multiple:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise UsageError(f'{where}: {key} must be a list of strings, like ["a", "b"]')
        return [_placed(path, item, parameter) for item in items]
    if parameter.is_bool_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{where}: {key} must be true or false, not {value!r}")
        return value
    if isinstance(value, dict | list | bool):
        raise UsageError(f'{where}: {key} must be one value, like {key} = "…"')
    return _placed(path, str(value), parameter)


def _placed(settings: Path, value: str, parameter: click.Option) -> str:
    if not isinstance(parameter.type, click.Path) or "://" in value or value in ("", "-"):
        return value
    return os.fspath(settings.parent / value)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unknown(path: Path, text: str, key: str, known: dict[str, click.Option]) -> UsageError:
    close = get_close_matches(key, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "keys are named like the flags"
    return UsageError(f"{path}:{_line(text, key)}: no flag is called {key!r}", hint=hint)


def _line(text: str, key: str) -> int:
    # tomllib gives no positions; the first line that starts with the key is where a reader looks.
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip().lstrip("[").lstrip()
        if stripped.startswith((key, f'"{key}"')):
            return number
    return 1
