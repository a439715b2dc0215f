"""The flags of `dag publish`, and the words in which a build names it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import ClassVar

from dag.core.arch import DEFAULT_ARCH, Arch
from dag.core.build.options import (
    STORE_KINDS,
    CommonOptions,
    OnlyOptions,
    RepositoryOptions,
    WaitOptions,
)
from dag.core.build.signeroptions import SignerOptions
from dag.core.flags import Options, flag, flag_group, switch
from dag.core.jobs.claims import SCHEME
from dag.core.jobs.options import (
    FOR_JOBS,
    AttachOptions,
    StoreAgentOptions,
    UnitBuildOptions,
    WhereOptions,
)
from dag.core.kinds import ARCHS, TEXT
from dag.core.package.options import (
    CompileOptions,
    DirectoryOptions,
    GeneralOptions,
    JsonOptions,
    PackageOptions,
    TargetOptions,
)
from dag.errors import UsageError


@flag_group
class ProvenOptions(JsonOptions):
    """The choice of what is published."""

    heading: ClassVar[str] = "Selection"

    run: str | None = flag(
        TEXT,
        "--run",
        "Publish what this run has proven: its id, or how it begins. The directory of the definitions "
        "does not count then.",
        metavar="RUN",
        shown="what is finished of today's definitions",
        typed_only=True,
    )
    dry_run: bool = switch("--dry-run", "Print what would be published, and change nothing.")


@flag_group
class PublishedArchsOptions(Options):
    """The architectures that are published."""

    heading: ClassVar[str] = "Selection"

    arch: tuple[Arch, ...] | None = flag(
        ARCHS,
        "-a --arch",
        "Publish for these architectures, with commas between them.",
        shown=f"{DEFAULT_ARCH}; with --run all that the run was for",
    )


@flag_group
class PublishOptions(
    PackageOptions,
    OnlyOptions,
    PublishedArchsOptions,
    ProvenOptions,
    DirectoryOptions,
    CompileOptions,
    RepositoryOptions,
    TargetOptions,
    WhereOptions,
    WaitOptions,
    CommonOptions,
    SignerOptions,
    StoreAgentOptions,
    GeneralOptions,
):
    """The flags of `dag publish`."""

    headings: ClassVar[Mapping[str, str]] = FOR_JOBS
    texts: ClassVar[Mapping[str, str]] = {
        "store": f"Publish what this store has finished: {STORE_KINDS}.",
        "on": "Publish from this place: `local`, which is this machine, or `kubernetes`, where a pod "
        "does it.",
        "repositories": "Do not ask for what this repository has, as `dag build` does not build that.",
        "keyrings": "Trust packages that are signed with this public key, a file or a URL, as "
        "`dag build` does.",
        "target_template": "Know a package by this target of make, like package/{name}, as "
        "`dag build` does.",
        "common": "Count this file, directory or pattern as a part of every unit, besides what the "
        "Makefile names, as `dag build` does.",
    }

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: packages are named beside a run.

        """
        if self.run is not None and self.packages:
            raise UsageError(
                "--run publishes what a run has proven, and packages are named besides",
                hint="leave one of them out",
            )

    def of_build(self) -> UnitBuildOptions:
        """Return the flags of the build whose finished units are published."""
        known = {one.name for one in fields(UnitBuildOptions)}
        mine = {name: value for name, value in self.__dict__.items() if name in known}
        return UnitBuildOptions(**{**mine, "arch": self.archs, "on": self.place, "report": None})

    @property
    def archs(self) -> tuple[Arch, ...]:
        """Return the architectures, in the order of their names."""
        return tuple(sorted(self.arch or (Arch.parse(DEFAULT_ARCH),), key=str))

    @property
    def place(self) -> str:
        """Return the place of builds, as `--on` names it."""
        return "kubernetes" if self.is_on_cluster else "local"


def publish_options(options: AttachOptions, run: str) -> PublishOptions:
    """Return the flags with which `dag publish` publishes what a run has proven that was followed."""
    known = {one.name for one in fields(PublishOptions)}
    mine = {name: value for name, value in options.__dict__.items() if name in known}
    return PublishOptions(**{**mine, "run": run})


def run_command(options: PublishOptions) -> str:
    """Return the command that publishes what a run has proven."""
    words = ["dag", "publish", f"--run={options.run}", f"--store={options.store}"]
    return shlex.join((*words, *_cluster_words(options)))


def _cluster_words(options: PublishOptions | UnitBuildOptions) -> Iterator[str]:
    """Yield the flags that say in which cluster a store is."""
    if not (options.store or "").startswith(SCHEME):
        yield "--on=kubernetes"
    for name in ("kubeconfig", "context", "namespace"):
        if (value := getattr(options, name)) is not None:
            yield f"--{name}={value}"


def publish_command(options: UnitBuildOptions) -> str:
    """Return the command that publishes what a build with these flags has left unpublished."""
    words = ["dag", "publish"]
    if options.directory != ".":
        words.append(f"--dir={options.directory}")
    if options.store is not None:
        words.append(f"--store={options.store}")
    if options.on == "kubernetes":
        words += _cluster_words(options)
    if options.is_apart:
        words.append("--sign=apart")
    if options.arch != (Arch.parse(DEFAULT_ARCH),):
        words.append(f"--arch={','.join(map(str, options.arch))}")
    return shlex.join(words)
