"""`dag completion`: what a shell needs to complete commands, flags and names of packages."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.core.aboutoptions import CompletionOptions
from dag.report.terminal import show_document


@command_of(
    CompletionOptions,
    ("Have bash complete from now on.", "dag completion bash >> ~/.bashrc"),
    ("Do that in zsh.", "dag completion zsh >> ~/.zshrc"),
    ("Do that in fish.", "dag completion fish > ~/.config/fish/completions/dag.fish"),
)
def command(options: CompletionOptions) -> None:
    """Print a script that has a shell complete what is typed.

    It completes commands, flags, their values, and the names of the definitions in the directory
    that --dir names. The shell asks dag for them, so the script need not be written anew for a newer
    dag. bash must be 4.4 or later.
    """
    from click.shell_completion import get_completion_class

    from dag.cli.main import main

    shell = get_completion_class(options.shell)
    assert shell  # noqa: S101  # the shells that can be asked for are those that click knows
    show_document(f"{shell(main, {}, 'dag', '_DAG_COMPLETE').source().strip()}\n")
