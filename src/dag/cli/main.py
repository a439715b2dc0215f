"""The entry point: finds the command, runs it, and turns every error into words and an exit code."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from dag import __version__
from dag.cli.examples import ExampleGroup
from dag.cli.interrupts import INTERRUPTED, leave_when_told
from dag.errors import DagError, words_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SUMMARIES = {
    "init": "Begin a distribution that builds at once.",
    "text": "Print packages in the order in which they can be built.",
    "svg": "Draw the graph of packages as a picture.",
    "graph": "Write a page on which the graph can be searched, for a browser.",
    "cycles": "Show which packages need each other, and what to bootstrap.",
    "path": "Explain why one package needs another.",
    "affected": "Print what must be built again after files have changed.",
    "pod": "Build packages in a pod of a Kubernetes cluster.",
    "doctor": "Find out whether a cluster or this machine could build.",
    "build": "Build packages as units, on this machine or as Jobs on Kubernetes.",
    "publish": "Sign and publish what a store has finished.",
    "status": "Tell how a `dag build` stands, or how it ended.",
    "attach": "Follow a build that is driven in a cluster.",
    "cancel": "End a build on Kubernetes.",
    "logs": "Print the log of a package's build.",
    "report": "Write a page about a build, for a browser.",
    "store": "Verify the store of `dag build`, or remove what nobody needs.",
    "cache": "Fetch and verify the sources that the definitions name.",
    "setup": "Make a cluster ready for builds.",
    "image": "Make the image of what runs in pods beside the build.",
    "completion": "Print a script that has a shell complete what is typed.",
    "version": "Tell which dag this is.",
}
"""The commands in the order in which people meet them, with the first sentence of each one's help.

Each lives in `dag.cli.NAME` as `command`, and is imported only when it runs: help and completion
have to be there at once.
"""

HIDDEN = ("agent",)
"""Commands that no person types: pods call them."""


class Commands(ExampleGroup):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order in which people meet them."""
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `cmd_name`, or return None, from which click makes its own error."""
        if cmd_name not in SUMMARIES and cmd_name not in HIDDEN:
            return None
        command = import_module(f"dag.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101  # a command module without a command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command, and keep from click what it would end with 1 or as if interrupted."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, EOFError) as error:  # of files and sockets: it means our streams
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, and say where a flag belongs that stands before the command."""
        try:
            return super().parse_args(ctx, list(args))
        except click.NoSuchOption as error:
            command = next((word for word in args if word in SUMMARIES), None)
            if command is None:
                raise
            message = f"{error.format_message()} Flags stand behind the command: `dag {command} …`."
            raise click.UsageError(message, ctx=ctx) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was most likely meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            name = error.command_name
            raise click.exceptions.NoSuchCommand(name, possibilities=SUMMARIES, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries without asking the commands for them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, or flags of `dag` itself, that begin with `incomplete`."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=summary)
            for name, summary in SUMMARIES.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's
    if wanted and not ctx.resilient_parsing:
        from dag.report.stdout import put

        put((f"dag, version {__version__}\n".encode(),), at_once=True)
        ctx.exit()


@click.group(
    cls=Commands,
    examples=(
        ("Print what brotli needs, in the order in which it can be built.", "dag text brotli"),
        ("Build brotli and what it needs on this machine.", "dag build brotli"),
        ("Do that in a pod, and bring the packages here.", "dag pod --out built brotli"),
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Build a directory of melange package definitions along their dependency graph."""
    if ctx.invoked_subcommand is None:
        from dag.report.stdout import put

        put((f"{ctx.get_help()}\n".encode(),), at_once=True)


def run() -> NoReturn:
    """Run the command line and exit: 0 done, 1 build failed, 2 usage, 3 environment, 130 Ctrl-C."""
    _open_streams()
    leave_when_told()  # until a command begins
    code = _run()
    if code == INTERRUPTED:
        # Threads that wait for a network would hold the end up.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _open_streams() -> None:
    """Open the standard streams that whoever called us has closed: no file shall get their numbers.

    What is written to such a stdout is lost, which is an error, so it is one that cannot be written.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            os.set_inheritable(number, True)  # noqa: FBT003  # its only parameter
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _run() -> int:
    try:
        code = main.main(prog_name="dag", standalone_mode=False)
    except click.ClickException as error:
        # click shows a group's help itself; everything else is one line and where to read on.
        _show_refusal(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _show("interrupted", None)
        return INTERRUPTED
    except DagError as error:
        _show(error.message, error.hint)
        return error.exit_code
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            from dag.cli.workplace import check_workplace

            try:
                check_workplace()
            except DagError as gone:
                _show(gone.message, gone.hint)
                return gone.exit_code
        _show(words_of(error), None)
        return 3
    except Exception as error:
        if _was_interrupted(error):
            _show("interrupted", None)
            return INTERRUPTED
        if os.environ.get("DAG_DEBUG"):
            raise
        _show(
            f"this is a bug in dag: {type(error).__name__}: {error}",
            "run it again with DAG_DEBUG=1 and report the traceback",
        )
        return 3
    return code if isinstance(code, int) else 0


def _was_interrupted(error: BaseException | None) -> bool:
    """Return whether an error wraps Ctrl-C, as one of a class that is made while Python imports."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _show(message: str, hint: str | None) -> None:
    from dag.report.terminal import complain, tell

    complain(message)
    if hint:
        tell(f"hint: {hint}")


def _show_refusal(error: click.ClickException) -> None:
    from dag.report.terminal import tell

    words = io.StringIO()
    error.show(words)
    for line in words.getvalue().removesuffix("\n").split("\n"):
        tell(line)
