"""The entry point: finds the command, runs it, and turns every error into words and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import click

from dag.errors import DagError

COMMANDS = (
    *("text", "svg", "cycles", "path", "affected"),
    *("pod", "doctor", "build", "status", "cache", "setup"),
)
"""Each command lives in `dag.cli.NAME` as `command`, and is imported when it is asked for."""


class Commands(click.Group):
    """A group that imports a command's module only when that command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `cmd_name`, or answer None, from which click makes its own error."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"dag.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101  # a command module without a command
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(package_name="melange-dag")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Build a directory of melange package definitions along their dependency graph."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run() -> NoReturn:
    """Run the command line and exit: 0 done, 1 build failed, 2 usage, 3 environment, 130 Ctrl-C."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called us, and no file shall get its number
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    # Both mean: stop, and clean up. Under nohup a terminal that closes means nothing.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    code = _run()
    if code == 130:
        # Threads that wait for a network would hold the end up.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _run() -> int:
    try:
        code = main.main(prog_name="dag", standalone_mode=False)
    except click.ClickException as error:
        # click shows a group's help itself; everything else is one line and where to read on.
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _show("interrupted", None)
        return 130
    except DagError as error:
        _show(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output left (`dag text | head`): that is no failure of ours, and the
        # interpreter must not try to flush into the closed pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _show(f"{where}{error.strerror or error}", None)
        return 3
    except Exception as error:
        if os.environ.get("DAG_DEBUG"):
            raise
        _show(
            f"this is a bug in dag: {type(error).__name__}: {error}",
            "run it again with DAG_DEBUG=1 and report the traceback",
        )
        return 3
    return code if isinstance(code, int) else 0


def _show(message: str, hint: str | None) -> None:
    with suppress(OSError):  # nobody listens: the exit code tells
        click.echo(f"dag: {message}", err=True)
        if hint:
            click.echo(f"hint: {hint}", err=True)
