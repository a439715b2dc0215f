"""The flags of `dag build` and `dag status`, and those that building in a pod has, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dag.core.build.proxies import ProxyOptions
from dag.core.build.signeroptions import PublishingOptions
from dag.core.flags import Options, arguments, flag, flag_group, list_flag, switch
from dag.core.kinds import (
    DURATION,
    FILE,
    FILE_OR_STDOUT,
    FILE_OR_URL,
    PACKAGE,
    PATH_OR_URL,
    QUANTITY,
    TEXT,
    PathRule,
    ValueKind,
    whole,
)
from dag.core.package.options import (
    ArchsOptions,
    CompileOptions,
    DirectoryOptions,
    GeneralOptions,
    JsonOptions,
    PackageOptions,
    RunArchsOptions,
    TargetOptions,
)
from dag.core.store.buckets import Bucket
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.core.build.plan import BuildRequest
    from dag.core.build.states import RunLimits

_SELECTION = "Selection"
_OUTPUT = "Output"


def _place(text: str) -> str:
    if text not in ("local", "kubernetes"):
        raise UsageError(f"{text!r} is no place to build at: there are `local` and `kubernetes`")
    return text


def _store_name(text: str) -> str:
    if "://" in text and not text.startswith("pvc://"):
        Bucket.parse(text)
    return text


PLACE = ValueKind(metavar="PLACE", parse=_place)
_STORE = ValueKind(metavar="DIR|URL", parse=_store_name, path=PathRule(directory=True, url=True))


@flag_group
class OnlyOptions(Options):
    """The choice of building the packages alone."""

    heading: ClassVar[str] = _SELECTION

    only: bool = switch("--only", "Ask for just these packages, not for what they depend on.")


@flag_group
class RepositoryOptions(Options):
    """Repositories whose packages need not be built, and the keys that they are signed with."""

    heading: ClassVar[str] = "Repositories"

    repositories: tuple[str, ...] = list_flag(
        PATH_OR_URL,
        "-r --repository",
        "Do not build what this repository has; melange takes packages from it.",
    )
    keyrings: tuple[str, ...] = list_flag(
        FILE_OR_URL,
        "--keyring",
        "Trust packages that are signed with this public key, a file or a URL.",
    )


@flag_group
class MakeOptions(TargetOptions):
    """The targets of make, and the confinement of a build."""

    heading: ClassVar[str] = "Build"

    hermetic: bool = switch("--hermetic", "Give the steps of a build no network.")
    trust_steps: bool = switch(
        "--trust-steps",
        "Run the steps of a build with all rights of the build itself. Only the command line can "
        "ask for this.",
        typed_only=True,
    )


@flag_group
class SelectionOptions(
    PackageOptions,
    DirectoryOptions,
    CompileOptions,
    OnlyOptions,
    RepositoryOptions,
    MakeOptions,
):
    """Everything that decides what make is asked for, but for the architecture."""


@flag_group
class StoreOptions(Options):
    """The place of finished packages."""

    heading: ClassVar[str] = "Store"

    store: str | None = flag(
        _STORE,
        "--store",
        "Keep finished packages in this directory or bucket (gs://, s3:// or az://), or on this volume"
        " claim (pvc://CLAIM[/FOLDER], with `dag build --on kubernetes`).",
        shown="packages in the directory of --dir",
    )


STORE_KINDS = (
    "a directory, a bucket (gs://, s3:// or az://) or a volume claim (pvc://CLAIM[/FOLDER])"
)
"""What `--store` may be where a store is only looked at."""


@flag_group
class SharedStoreOptions(Options):
    """Other stores, whose finished packages need not be built."""

    heading: ClassVar[str] = "Store"

    other_stores: tuple[str, ...] = list_flag(
        _STORE,
        "--from",
        "Take what this store has of the same definition, instead of building it.",
        metavar="STORE",
    )


@flag_group
class WaitOptions(Options):
    """The choice of waiting for a store."""

    heading: ClassVar[str] = "Store"

    wait: bool = switch("--wait", "Wait for another build that uses the store.")


@flag_group
class RebuildOptions(Options):
    """Packages that are built although they exist, and those that have changed."""

    heading: ClassVar[str] = _SELECTION

    rebuild: tuple[str, ...] = list_flag(
        PACKAGE,
        "--rebuild",
        "Build this package although it exists. `dependents` also builds what would be built from "
        "other inputs than it was; `cycle` what was built with a repository's package to open a cycle, "
        "if the store has that package now; and `all` everything, which only the command line can ask for.",
        metavar="PKG|dependents|cycle|all",
        typed_values=("all",),
    )
    since: str | None = flag(
        TEXT, "--since", "Ask for what has changed since this commit.", metavar="GITREF"
    )


@flag_group
class CommonOptions(Options):
    """The files that are a part of every unit."""

    heading: ClassVar[str] = "Units"

    common: tuple[str, ...] = list_flag(
        TEXT,
        "--common",
        "Give every unit this file, directory or pattern, besides what the Makefile names.",
        metavar="PATH",
        inside="unit",
    )


@flag_group
class UnitOptions(Options):
    """The number of units that are built at once, their limits, and their failures."""

    heading: ClassVar[str] = "Units"

    on: str = flag(
        PLACE,
        "--on",
        "Build at this place: `local`, which is this machine, or `kubernetes`, where each unit is a "
        "Job.",
        default="local",
    )
    jobs: int | None = flag(
        whole(1),
        "-j --jobs",
        "Build this many units at once. With several architectures, this is for each.",
        shown="one for each processor; on Kubernetes as many as have room on the nodes",
    )
    twice: bool = switch(
        "--twice",
        "Build each package that is built a second time from the same inputs; one that comes out "
        "differently makes the exit code 1. Only on this machine.",
    )
    fail_fast: bool = switch("--fail-fast", "Stop everything at the first failure.")
    retries: int = flag(
        whole(0), "--retries", "Try a failed build this many times more.", default="0"
    )
    timeout: float | None = flag(
        DURATION, "--timeout", "End a unit that takes longer than this.", shown="no limit"
    )
    cpu: str = flag(
        QUANTITY,
        "--cpu",
        "Count this many CPUs for a unit whose definition asks for none.",
        default="1",
    )
    ram: str = flag(
        QUANTITY,
        "--ram",
        "Count this much memory for a unit whose definition asks for none.",
        default="2Gi",
    )
    max_ram: str | None = flag(
        QUANTITY,
        "--max-ram",
        "Give a unit that ran out of memory at most this much.",
        shown="all of the machine's",
    )


@flag_group
class ResultFileOptions(JsonOptions):
    """Files about what became of a build, for programs and for pages."""

    heading: ClassVar[str] = _OUTPUT

    junit: str | None = flag(FILE, "--junit", "Write the result to this file as JUnit's XML.")
    markdown: str | None = flag(
        FILE,
        "--markdown",
        "Write the result to this file as Markdown. "
        "It is also appended to the file that $GITHUB_STEP_SUMMARY names.",
    )


@flag_group
class ReportFileOptions(ResultFileOptions):
    """Output of a build."""

    heading: ClassVar[str] = _OUTPUT

    dry_run: bool = switch("--dry-run", "Print the plan and build nothing.")
    report: str | None = flag(
        FILE,
        "--report",
        "Write a page about the build for a browser to this file, and again while it goes on. With "
        "several architectures each has one, with its name before the suffix.",
    )


@dataclass(frozen=True, kw_only=True)
class MachineResources:
    """Processors of this machine, and bytes of memory."""

    processors: int
    ram: int


@flag_group
class BuildOptions(
    PackageOptions,
    DirectoryOptions,
    ArchsOptions,
    CompileOptions,
    OnlyOptions,
    RebuildOptions,
    RepositoryOptions,
    MakeOptions,
    StoreOptions,
    SharedStoreOptions,
    WaitOptions,
    CommonOptions,
    UnitOptions,
    PublishingOptions,
    ReportFileOptions,
    ProxyOptions,
    GeneralOptions,
):
    """The flags of `dag build`."""

    def request(self) -> BuildRequest:
        """Return what the plan is made for."""
        from dag.core.build.plan import BuildRequest
        from dag.core.build.resources import resources_of_flags

        rebuild = frozenset(self.rebuild)
        return BuildRequest(
            packages=self.packages,
            only=self.only,
            rebuild=rebuild - {"dependents", "cycle", "all"},
            rebuild_dependents="dependents" in rebuild,
            rebuild_cycle="cycle" in rebuild,
            rebuild_all="all" in rebuild,
            resources=resources_of_flags(self.cpu, self.ram),
        )

    def limits(self, machine: MachineResources) -> RunLimits:
        """Return what bounds the scheduler on this machine."""
        from dag.core.build.events import ComputeResources
        from dag.core.build.states import RunLimits
        from dag.core.units import quantity

        jobs = self.jobs or machine.processors
        # Who asks for more jobs than there are processors gets them.
        cpu = max(machine.processors, jobs) * 1000
        return RunLimits(
            jobs=jobs,
            capacity=ComputeResources(cpu, machine.ram),
            max_ram=int(quantity(self.max_ram)) if self.max_ram else machine.ram,
            retries=self.retries,
            fail_fast=self.fail_fast,
        )


@flag_group
class StatusReportOptions(JsonOptions):
    """Output about the state of a build."""

    heading: ClassVar[str] = _OUTPUT

    all: bool = switch("--all", "List all runs of the store, the latest first.", typed_only=True)


@flag_group
class StatusOptions(
    DirectoryOptions, RunArchsOptions, StoreOptions, StatusReportOptions, GeneralOptions
):
    """The flags of `dag status`."""

    runs: tuple[str, ...] = arguments(TEXT, "[RUN]", "The id of a run, or how it begins.")


@flag_group
class PageOptions(Options):
    """The file of a page."""

    heading: ClassVar[str] = _OUTPUT

    out: str = flag(
        FILE_OR_STDOUT,
        "-o --out",
        "Write the page to this file; - is the standard output.",
        default="dag-report.html",
        command="report",
    )


@flag_group
class RunPageOptions(
    DirectoryOptions, RunArchsOptions, StoreOptions, PageOptions, JsonOptions, GeneralOptions
):
    """The flags of `dag report`."""

    runs: tuple[str, ...] = arguments(TEXT, "[RUN]", "The id of a run, or how it begins.")


@flag_group
class LogOutputOptions(Options):
    """Output of a log."""

    heading: ClassVar[str] = _OUTPUT

    follow: bool = switch("-f --follow", "Go on with what is written until the build has ended.")
    raw: bool = switch("--raw", "Print the bytes as they are, with all that a terminal obeys.")


@flag_group
class LogsOptions(
    DirectoryOptions, RunArchsOptions, StoreOptions, LogOutputOptions, GeneralOptions
):
    """The flags of `dag logs`."""

    words: tuple[str, ...] = arguments(
        TEXT, "[RUN] PKG", "The package, and before it the id of a run, or how it begins."
    )
