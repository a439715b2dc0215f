"""The flags that say which definitions are read, and those that every command has."""

from __future__ import annotations

from typing import ClassVar

from dag.core.arch import ARCHITECTURES, DEFAULT_ARCH, Arch
from dag.core.flags import (
    GENERAL,
    Options,
    arguments,
    counting_flag,
    flag,
    flag_group,
    list_flag,
    switch,
)
from dag.core.kinds import ARCH, ARCHS, ASSIGNMENT, EXISTING_DIRECTORY, PACKAGE, TEXT, choice
from dag.core.package.makeassignments import split_assignment

_DEFINITIONS = "Definitions"
_NAMES = f"{', '.join(ARCHITECTURES)}, or a name that OCI has for one"


@flag_group
class PackageOptions(Options):
    """The packages that are asked for."""

    packages: tuple[str, ...] = arguments(
        PACKAGE, "[PKG]...", "The packages that are asked for. Without any, it is all of them."
    )


@flag_group
class DirectoryOptions(Options):
    """The place of the definitions."""

    heading: ClassVar[str] = _DEFINITIONS

    directory: str = flag(
        EXISTING_DIRECTORY,
        "-d --dir",
        "Read the definitions, and dag.toml if there is one, in this directory.",
        default=".",
        finds_file=True,
    )


@flag_group
class ArchOptions(Options):
    """The architecture that definitions are read for."""

    heading: ClassVar[str] = _DEFINITIONS

    arch: Arch = flag(
        ARCH,
        "-a --arch",
        f"Take the definitions for this architecture: {_NAMES}.",
        default=DEFAULT_ARCH,
    )


@flag_group
class ArchsOptions(Options):
    """The architectures that definitions are read for."""

    heading: ClassVar[str] = _DEFINITIONS

    arch: tuple[Arch, ...] = flag(
        ARCHS,
        "-a --arch",
        f"Take the definitions for these architectures, with commas between them: {_NAMES}.",
        default=DEFAULT_ARCH,
    )


@flag_group
class RunArchsOptions(Options):
    """The architectures of runs."""

    heading: ClassVar[str] = "Store"

    arch: tuple[Arch, ...] | None = flag(
        ARCHS,
        "-a --arch",
        "Look for builds for these architectures, with commas between them.",
        shown="all",
    )


@flag_group
class CompileOptions(Options):
    """Everything else that decides how definitions are resolved, and which ones are refused."""

    heading: ClassVar[str] = _DEFINITIONS

    pipeline_dirs: tuple[str, ...] = list_flag(
        EXISTING_DIRECTORY,
        "--pipeline-dir",
        "Look for pipelines in this directory before the built-in ones.",
    )
    build_options: tuple[str, ...] = list_flag(
        TEXT,
        "--build-option",
        "Enable this option of the definitions, as melange's flag of that name does.",
        metavar="NAME",
    )
    make_vars: tuple[str, ...] = list_flag(
        ASSIGNMENT,
        "--make-var",
        "Pass this assignment to make, besides those of [make] in dag.toml. What the Makefile tells "
        "melange may depend on it.",
        table="make",
    )
    strict: bool = switch(
        "--strict",
        "Refuse the whole directory if anything is wrong with any definition, not only what needs "
        "that definition. `dag build` also refuses a definition that changed under its version.",
    )

    def make_assignments(self) -> dict[str, str]:
        """Return the variables of `make_vars` with their values."""
        return dict(map(split_assignment, self.make_vars))


@flag_group
class DefinitionOptions(DirectoryOptions, ArchOptions, CompileOptions):
    """The definitions that are read, and how."""


@flag_group
class TargetOptions(Options):
    """The way in which a package becomes a target of make."""

    heading: ClassVar[str] = "Targets"

    target_template: str | None = flag(
        TEXT,
        "--target-template",
        "Ask make for a package by this name, like package/{name}.",
        shown="what the Makefile has rules for",
        metavar="TARGET",
    )


@flag_group
class JsonOptions(Options):
    """Output for programs."""

    heading: ClassVar[str] = "Output"

    json: bool = switch(
        "--json", "Print everything as one JSON object on the standard output, for programs."
    )


@flag_group
class GeneralOptions(Options):
    """Flags that nearly every command has."""

    heading: ClassVar[str] = GENERAL

    verbose: int = counting_flag("-v --verbose", "Say more.")
    quiet: bool = switch("-q --quiet", "Say only what failed, besides what is asked for.")
    color: str = flag(
        choice("auto", "always", "never"),
        "--color",
        "Colour what is said. `auto` does so on a terminal, unless $NO_COLOR is set.",
        default="auto",
    )
