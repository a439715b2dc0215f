"""The flags of the commands about dag itself: `dag completion` and `dag version`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dag.core.flags import Options, argument, switch
from dag.core.kinds import choice


@dataclass(frozen=True, kw_only=True)
class CompletionOptions(Options):
    """The shell that completes what is typed."""

    shell: str = argument(
        choice("bash", "zsh", "fish"), "{bash|zsh|fish}", "The shell that is to read the script."
    )


@dataclass(frozen=True, kw_only=True)
class VersionOptions(Options):
    """The form of what is told about this installation."""

    heading: ClassVar[str] = "Output"

    json: bool = switch("--json", "Print it as JSON, with what it runs on.", typed_only=True)
