"""`dag.toml` in the definitions directory: the same names as the flags, one place a project.

```toml
bundle-repo = "registry.example.com/dag"   # for every command that has the flag
[make]                                     # command-line assignments for make
BOOTSTRAP = "yes"
[pod]                                      # for one command only
cpu = "8"
[setup]                                    # for `dag setup gke`, `kind` and `cluster`
service-account = "builder"
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

from dag.core.limits import SETTINGS
from dag.errors import UsageError
from dag.io.files import read_text

FILE_NAME = "dag.toml"
# A command that examines what another would do goes by what that one is told.
_EXAMINES = {"doctor": ("pod",)}


PLACES = "dag.settings"
"""In a context's meta: where `dag.toml` says what, parameter name → FILE:LINE."""


class Option(click.Option):
    """A flag that may come from the environment or from `dag.toml`, and says so if it is wrong."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Name where the value came from."""
        flag = max(self.opts, key=len)
        if ctx is None:
            return flag
        match ctx.get_parameter_source(str(self.name)):
            case click.core.ParameterSource.DEFAULT_MAP:
                return f"{ctx.meta[PLACES][self.name]}: {flag.removeprefix('--')}"
            case click.core.ParameterSource.ENVIRONMENT:
                names = [self.envvar] if isinstance(self.envvar, str) else self.envvar or ()
                found = next((name for name in names if os.environ.get(name)), "?")
                return f"{flag} (from ${found})"
        return flag


class OwnOption(Option):
    """A flag whose name means something else in other commands."""


def read_settings(directory: str, command: click.Command, ctx: click.Context) -> dict[str, Any]:
    """Read what `dag.toml` says for `command`, as click's default map: parameter name → value.

    Where it says so goes into the context's meta.

    Raises:
        UsageError: the file is no TOML, a key belongs to no flag, or a value has another type.

    """
    from dag.cli.main import COMMANDS

    path = Path(directory) / FILE_NAME
    text, table = _load(path)
    own = [(section, table.pop(section, {})) for section in _sections(command)]
    others = {name for name in COMMANDS if isinstance(table.get(name), dict)}
    shared = {key: value for key, value in table.items() if key not in others}
    settings: dict[str, Any] = {}
    places: dict[str, str] = ctx.meta.setdefault(PLACES, {})

    def take(key: str, value: object, parameter: click.Option) -> None:
        settings[str(parameter.name)] = _value(path, text, key, value, parameter)
        places[str(parameter.name)] = f"{path}:{_line(text, key)}"

    for key, value in shared.items():
        parameter = _parameter(command, key)
        if parameter is not None and not isinstance(parameter, OwnOption):
            take(key, value, parameter)
        elif parameter is None and key not in _known_anywhere():
            raise _unknown(path, text, key, _known_anywhere())
    for section, part in own:
        if not isinstance(part, dict):
            raise UsageError(f"{path}: {section} must be a table, like [{section}]")
        for key, value in part.items():
            parameter = _parameter(command, key)
            if parameter is not None:
                take(key, value, parameter)
            elif section == command.name or key not in _keys_of(section):
                raise _unknown(path, text, key, _keys_of(section))
    return settings


def _sections(command: click.Command) -> tuple[str, ...]:
    """Name the tables that are for this command, the closest last."""
    section = str(getattr(command, "section", command.name))
    return (*_EXAMINES.get(section, ()), section)


def _load(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = read_text(path, SETTINGS)
        return text, tomllib.loads(text)
    except FileNotFoundError:
        return "", {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="the file must be TOML in UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


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
    from dag.cli.main import COMMANDS

    known: dict[str, click.Option] = {}
    for name in COMMANDS:
        known |= _keys_of(name)
    return known


def _keys_of(section: str) -> dict[str, click.Option]:
    """Give the keys of a table: those of one command, or of all of a group."""
    from dag.cli.main import main

    command = main.get_command(click.Context(main), section)
    each = command.commands.values() if isinstance(command, click.Group) else [command]
    return {key: option for one in each if one is not None for key, option in _keys(one).items()}


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
