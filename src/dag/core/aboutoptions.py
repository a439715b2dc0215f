"""The flags of the commands about dag itself: `dag completion` and `dag version`."""

from __future__ import annotations

from typing import ClassVar

from dag.core.flags import Options, argument, flag_group, switch
from dag.core.kinds import choice


@flag_group
class CompletionOptions(Options):
    """The shell that completes what is typed."""

    shell: str = argument(
        choice("bash", "zsh", "fish"), "{bash|zsh|fish}", "The shell that is to read the script."
    )


@flag_group
class VersionOptions(Options):
    """The form of what is told about this installation."""

    heading: ClassVar[str] = "Output"

    json: bool = switch("--json", "Print it as JSON, with what it runs on.", typed_only=True)
