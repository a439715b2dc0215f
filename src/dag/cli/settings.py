"""`dag.toml` in the directory of the definitions: the same names as the flags, one place a project.

```toml
bundle-repo = "registry.example.com/dag"   # for every command that has the flag
[make]                                     # command-line assignments for make
BOOTSTRAP = "yes"
[pod]                                      # for one command only
cpu = "8"
[setup]                                    # for `dag setup gke`, `kind` and `cluster`
service-account = "builder"
[melange]                                  # what the Makefile's call of melange comes to
package-append = ["busybox"]
```

Paths are relative to that directory; those of flags and of the environment to where `dag` runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from dag.cli.parameters import PLACES, Option
from dag.core.flags import Shape
from dag.core.package.melangetable import TABLE
from dag.errors import UsageError
from dag.io.settings import SettingsFile, read_settings_file

# A command that examines what another would do goes by what that one is told: by the value of --on.
_EXAMINES = {"doctor": {"pod": "pod", "kubernetes": "build", "local": "build"}}


def read_settings(
    directory: str, command: click.Command, section: str, ctx: click.Context, *, on: str = ""
) -> dict[str, object]:
    """Read what `dag.toml` says for `command`, as click's default map: parameter name → value.

    `section` is the command's own table, and `on` the value of its --on, if it has that. Where the file
    says so goes into the context's meta.

    Raises:
        UsageError: the file is no TOML, a key belongs to no flag, or a value has another type.

    """
    found = read_settings_file(Path(directory))
    if found is None:
        return {}
    file = _Settings(found)
    known = _keys(command)
    places: dict[str, str] = ctx.meta.setdefault(PLACES, {})
    settings: dict[str, object] = {}
    tables = [*filter(None, [_EXAMINES.get(section, {}).get(on)]), section]
    for key, value in _values_for(command, tables, known, file).items():
        option = known[key]
        settings[str(option.name)] = file.value(key, value, option)
        places[str(option.name)] = file.place(key)
    return settings


def check_variables(command: click.Command) -> None:
    """Check that the environment does not try to set a flag that only the command line may set.

    Raises:
        UsageError: it does, by a variable that is not meant for a flag of another command.

    """
    for one in command.params:
        if not isinstance(one, Option) or not one.flag.typed_only:
            continue
        variable = one.flag.own_variable
        if os.environ.get(variable) and not any(
            variable in other.flag.variables for other in _known_anywhere().values()
        ):
            raise _typed_only(f"${variable}", one)


def check_typed_values(command: click.Command, ctx: click.Context) -> None:
    """Check that only the command line gives a flag the values that only it may give.

    Raises:
        UsageError: the environment or `dag.toml` gives one.

    """
    for one in command.params:
        if not isinstance(one, Option) or not one.flag.typed_values:
            continue
        source = ctx.get_parameter_source(str(one.name))
        if source is not click.core.ParameterSource.COMMANDLINE:
            for value in set(one.flag.typed_values).intersection(ctx.params[str(one.name)]):
                raise _typed_only(f"{one.get_error_hint(ctx)} {value}", one)


def _typed_only(what: str, option: Option) -> UsageError:
    return UsageError(
        f"{what}: only the command line can ask for this",
        hint=f"remove it there, and type --{option.flag.name} when you want it",
    )


def _values_for(
    command: click.Command, tables: Sequence[str], known: Mapping[str, Option], file: _Settings
) -> dict[str, object]:
    """Return what the file says for a command whose keys are `known`; the last of `tables` counts."""
    from dag.cli.main import SUMMARIES

    table = _with_shared_tables(file, known)
    table.pop(TABLE, None)  # what it says counts where the Makefile is read
    own = {name: _own_table(table, name, file) for name in tables}
    others = {name for name in SUMMARIES if isinstance(table.get(name), dict)}
    values: dict[str, object] = {}
    for key, value in table.items():
        if key in others:
            continue
        if key in known:
            if not known[key].flag.command:  # its name means something else in other commands
                values[key] = value
        elif not _is_known_anywhere(key):
            raise file.unknown(key, [*_known_anywhere(), TABLE])
    for name, part in own.items():
        for key, value in part.items():
            if key in known:
                values[key] = value
            elif name == command.name or key not in _keys_of(name):
                raise file.unknown(key, _keys_of(name))
    return values


def _own_table(table: dict[str, object], name: str, file: _Settings) -> dict[str, object]:
    """Take the table of a command out of the file's; it is empty if there is none.

    A flag may have the name of a command, like --publish: what is no table is the flag's.
    """
    part = table.get(name, {})
    if isinstance(part, dict):
        table.pop(name, None)
        return part
    if not _is_known_anywhere(name):
        raise UsageError(f"{file.path}: {name} must be a table, like [{name}]")
    return {}


class _Settings:
    """The values of the file, as click takes them."""

    def __init__(self, file: SettingsFile) -> None:
        self.path = file.path
        self.table = file.table
        self.place = file.place

    def value(self, key: str, value: object, option: Option) -> object:
        """Return a value as click takes it for this flag."""
        where, flag = self.place(key), option.flag
        if flag.table:
            if not isinstance(value, dict) or any(
                isinstance(one, dict | list) for one in value.values()
            ):
                raise UsageError(f'{where}: [{flag.table}] holds NAME = "VALUE" lines')
            return [f"{name}={_text_of(one)}" for name, one in value.items()]
        if flag.shape is Shape.SEVERAL:
            items = [value] if isinstance(value, str) else value
            if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
                raise UsageError(f'{where}: {key} must be a list of strings, like ["a", "b"]')
            return [self._from_here(item, option) for item in items]
        if flag.shape is Shape.SWITCH:
            if not isinstance(value, bool):
                raise UsageError(f"{where}: {key} must be true or false, not {value!r}")
            return value
        if flag.shape is Shape.COUNT and isinstance(value, bool):
            return str(int(value))
        if isinstance(value, dict | list | bool):
            raise UsageError(f'{where}: {key} must be one value, like {key} = "…"')
        return self._from_here(str(value), option)

    def _from_here(self, value: str, option: Option) -> str:
        kind = option.flag.kind
        if kind is None or kind.path is None or "://" in value or value in ("", "-"):
            return value
        return os.fspath(self.path.parent / value)

    def _unknown_table(self, key: str) -> UsageError:
        """Return the error for a table that is neither a command's nor one of those for all."""
        from difflib import get_close_matches

        from dag.cli.main import SUMMARIES

        close = get_close_matches(key, [*SUMMARIES, *sorted(_tables())], n=3)
        meant = " or ".join(f"[{one}]" for one in close)
        hint = f"did you mean {meant}?" if close else "tables are named like the commands"
        return UsageError(f"{self.place(key)}: no command is called {key!r}", hint=hint)

    def unknown(self, key: str, known: Iterable[str]) -> UsageError:
        """Return the error for a key that belongs to no flag."""
        from difflib import get_close_matches

        if isinstance(self.table.get(key), dict):
            return self._unknown_table(key)
        for option in _typed_anywhere():
            if option.flag.name == key:
                return _typed_only(f"{self.place(key)}: {key}", option)
        if key == "dir":
            return UsageError(
                f"{self.place(key)}: --dir says where this file is, so that cannot set it",
                hint="remove it there, and give --dir or set $DAG_DIR",
            )
        close = get_close_matches(key, list(known), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "keys are named like the flags"
        return UsageError(f"{self.place(key)}: no flag is called {key!r}", hint=hint)


def _keys(command: click.Command) -> dict[str, Option]:
    """Return the flags that the file may set, by their keys."""
    flags = (one for one in command.params if isinstance(one, Option) and not one.flag.typed_only)
    return {one.flag.key: one for one in flags if one.flag.key}


def _known_anywhere() -> dict[str, Option]:
    # Reached only for a key that this command does not have, so the imports are worth their time.
    from dag.cli.main import SUMMARIES

    return {key: option for name in SUMMARIES for key, option in _keys_of(name).items()}


def _tables() -> set[str]:
    """Return the tables that are for no one command."""
    flags = [option.flag for option in _known_anywhere().values()]
    return {TABLE, *(one.inside or one.table for one in flags)} - {""}


def _is_known_anywhere(key: str) -> bool:
    return any(one == key or one.startswith(f"{key}.") for one in _known_anywhere())


def _with_shared_tables(file: _Settings, known: Mapping[str, Option]) -> dict[str, object]:
    """Return what the file says, with TABLE.KEY for the keys of tables that are for no one command."""
    table = dict(file.table)
    for name in {option.flag.inside for option in known.values()} & table.keys():
        part = table.pop(name)
        if not isinstance(part, dict):
            raise UsageError(f"{file.path}: {name} must be a table, like [{name}]")
        table |= {f"{name}.{key}": value for key, value in part.items()}
    return table


def _typed_anywhere() -> list[Option]:
    from dag.cli.main import SUMMARIES

    params = [param for name in SUMMARIES for one in _commands_of(name) for param in one.params]
    return [one for one in params if isinstance(one, Option) and one.flag.typed_only]


def _keys_of(section: str) -> dict[str, Option]:
    """Return the keys of a table: those of one command, or of all of a group."""
    return {key: option for one in _commands_of(section) for key, option in _keys(one).items()}


def _commands_of(section: str) -> list[click.Command]:
    from dag.cli.main import main

    command = main.get_command(click.Context(main), section)
    each = command.commands.values() if isinstance(command, click.Group) else [command]
    return [one for one in each if one is not None]


def _text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
