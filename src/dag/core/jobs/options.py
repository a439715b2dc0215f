"""The flags of builds as Jobs: of `dag build`, and of what looks for its runs or ends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from dag.core.arch import Arch
from dag.core.build.options import (
    PLACE,
    STORE_KINDS,
    BuildOptions,
    LogsOptions,
    ResultFileOptions,
    RunPageOptions,
    StatusOptions,
    StoreOptions,
)
from dag.core.build.proxies import ProxyOptions
from dag.core.build.resources import resources_of_flags
from dag.core.build.signeroptions import KeyOptions
from dag.core.flags import Options, arguments, flag, flag_group, switch
from dag.core.jobs.claims import SCHEME, Claim
from dag.core.jobs.stores import cluster_store
from dag.core.kinds import DIRECTORY, NAME, TEXT, choice
from dag.core.kube.options import (
    CONTEXT_NAMESPACE,
    ContextOptions,
    KubeconfigOptions,
    NamesNamespace,
)
from dag.core.package.options import (
    DirectoryOptions,
    GeneralOptions,
    JsonOptions,
    RunArchsOptions,
)
from dag.core.pod.options import (
    BucketSecretOptions,
    BundleOptions,
    ClusterOptions,
    DiskOptions,
    ImagesOptions,
)
from dag.core.store.buckets import Bucket
from dag.core.units import quantity
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.core.build.plan import BuildRequest
    from dag.core.build.states import RunLimits
    from dag.core.jobs.capacity import ClusterCapacity

_MAX_RAM = 64 << 30
"""The most memory that a unit gets after it ran out, where nobody knows how large nodes are."""
_MAX_DISK = 256 << 30
"""The most disk that a unit asks for after its node ran short, where nobody knows that."""


@flag_group
class UnitPlaceOptions(ClusterOptions):
    """The privilege of the pods of units."""

    heading: ClassVar[str] = "Cluster"

    isolation: str = flag(
        choice("userns", "privileged"),
        "--isolation",
        "Run builds in a user namespace without any privilege, or with all of them on their nodes.",
        default="userns",
    )


@flag_group
class QueueOptions(Options):
    """The queue of Jobs."""

    heading: ClassVar[str] = "Scheduling"

    queue: str | None = flag(
        NAME,
        "--queue",
        "Have Jobs wait for their turn in this queue of Kueue.",
        shown="they do not wait",
    )


FOR_JOBS = {
    heading: f"{heading}, with --on kubernetes"
    for heading in ("Bundle", "Cluster", "Scheduling", "Buckets", "Resources")
}
"""The headings of flags that count in a cluster only, for commands that also work without one."""


class RunPlace(NamesNamespace, Protocol):
    """The flags that say in which store of which cluster runs are looked for."""

    @property
    def arch(self) -> tuple[Arch, ...] | None:
        """Return the architectures that are asked for; None for all."""

    def cluster_store(self) -> Claim | Bucket:
        """Return the store."""


@flag_group
class WhereOptions(StoreOptions):
    """The place of runs: this machine, or a cluster."""

    heading: ClassVar[str] = "Store"
    texts: ClassVar[Mapping[str, str]] = {
        "store": f"Look for builds in this store: {STORE_KINDS}.",
    }

    on: str = flag(
        PLACE,
        "--on",
        "Look for builds at this place: `local`, which is this machine, or `kubernetes`.",
        shown="local; kubernetes if the store is a volume claim",
        default="local",
    )

    @property
    def is_on_cluster(self) -> bool:
        """Return whether builds are looked for in a cluster."""
        return self.on == "kubernetes" or (self.store or "").startswith(SCHEME)

    def gives(self, words: str) -> bool:
        """Return whether these values have what a flag gives; a volume claim is always in a cluster."""
        return self.is_on_cluster if words == "--on kubernetes" else super().gives(words)

    def cluster_store(self) -> Claim | Bucket:
        """Return the store.

        Raises:
            UsageError: it is none that all nodes reach.

        """
        return cluster_store(self.store)


@flag_group
class CancelPlaceOptions(ContextOptions, KubeconfigOptions):
    """The cluster in which a run is ended."""

    heading: ClassVar[str] = "Cluster"

    namespace: str | None = flag(
        NAME, "-n --namespace", "Look for Jobs in this namespace.", shown=CONTEXT_NAMESPACE
    )


_FOR_RUNS = {"Definitions": "Store"}
"""The heading of --dir for commands that read no definitions."""
_OF_RUNS = {
    "directory": "Look for dag.toml, and for the store if --store names none, in this directory."
}


@flag_group
class CancelOptions(
    DirectoryOptions,
    RunArchsOptions,
    WhereOptions,
    CancelPlaceOptions,
    JsonOptions,
    GeneralOptions,
):
    """The flags of `dag cancel`."""

    headings: ClassVar[Mapping[str, str]] = _FOR_RUNS
    texts: ClassVar[Mapping[str, str]] = _OF_RUNS

    runs: tuple[str, ...] = arguments(TEXT, "[RUN]", "The id of a run, or how it begins.")


@flag_group
class AgentOptions(
    BundleOptions, UnitPlaceOptions, QueueOptions, BucketSecretOptions, ProxyOptions
):
    """The image of agents, their place, their rights, and their way to the network."""

    @property
    def confined(self) -> bool:
        """Return whether pods have no privilege."""
        return self.isolation == "userns"


@flag_group
class StoreAgentOptions(AgentOptions):
    """The agent of a small pod that reads or publishes a store which only pods reach."""

    texts: ClassVar[Mapping[str, str]] = {
        "bundle_repo": "Push the image that the pod at the store runs to this repository.",
        "pull_repo": "Have nodes pull the image of the pod at the store from this repository, if they "
        "know it by another name.",
        "bundle_base": "Make the image of the pod at the store on this one, which must have glibc and the "
        "Python that dag runs on.",
        "agent_image": "Have the pod at the store run this image, which `dag image` has made, and make none.",
        "include": "This is for builds, which bring their definitions along: it changes nothing here.",
        "insecure_registry": "Speak plain HTTP with the registry of the image of the pod at the store.",
        "isolation": "Run the pod at the store in a user namespace (`userns`), or in that of its node.",
        "namespace": "Look for builds, and create the pod at the store, in this namespace.",
        "service_account": "Run the pod at the store as this service account.",
        "node_arch": "Run the pod at the store on a node of this architecture.",
        "priority_class": "Give the pod at the store this priority class.",
        "proxy": "Have the pod at the store reach the network through this proxy, which is written "
        "http://HOST:PORT and has no login.",
        "no_proxy": "Have it reach these hosts, domains (.example.com) and networks without that proxy. "
        "Those of the cluster itself always are.",
        "queue": "Have the pod at the store wait for its turn in this queue of Kueue.",
    }


_FOR_JOBS_AND_RUNS = {**FOR_JOBS, **_FOR_RUNS}


@flag_group
class ClusterStatusOptions(StatusOptions, WhereOptions, StoreAgentOptions):
    """The flags of `dag status`."""

    headings: ClassVar[Mapping[str, str]] = _FOR_JOBS_AND_RUNS
    texts: ClassVar[Mapping[str, str]] = _OF_RUNS


@flag_group
class ClusterLogsOptions(LogsOptions, WhereOptions, StoreAgentOptions):
    """The flags of `dag logs`."""

    headings: ClassVar[Mapping[str, str]] = _FOR_JOBS_AND_RUNS
    texts: ClassVar[Mapping[str, str]] = _OF_RUNS


@flag_group
class ClusterPageOptions(RunPageOptions, WhereOptions, StoreAgentOptions):
    """The flags of `dag report`."""

    headings: ClassVar[Mapping[str, str]] = _FOR_JOBS_AND_RUNS
    texts: ClassVar[Mapping[str, str]] = _OF_RUNS


@flag_group
class AttachOptions(
    DirectoryOptions,
    RunArchsOptions,
    WhereOptions,
    KeyOptions,
    StoreAgentOptions,
    ResultFileOptions,
    GeneralOptions,
):
    """The flags of `dag attach`."""

    headings: ClassVar[Mapping[str, str]] = _FOR_JOBS_AND_RUNS
    texts: ClassVar[Mapping[str, str]] = _OF_RUNS

    runs: tuple[str, ...] = arguments(TEXT, "[RUN]", "The id of a run, or how it begins.")


@flag_group
class BringOptions(Options):
    """A copy of what is published."""

    heading: ClassVar[str] = "Output"

    out: str | None = flag(
        DIRECTORY,
        "--out",
        "Bring what the store publishes from the cluster to this directory.",
        typed_only=True,
    )


@flag_group
class DetachOptions(Options):
    """Who drives a build in a cluster."""

    heading: ClassVar[str] = "Units"

    detach: bool = switch(
        "--detach",
        "With --on kubernetes, have a Job in the cluster drive the build, so that this machine may "
        "sleep; `dag attach` follows it, and publishes what it has proven.",
        typed_only=True,
    )


@flag_group
class UnitBuildOptions(
    BuildOptions,
    BringOptions,
    DetachOptions,
    ImagesOptions,
    AgentOptions,
    DiskOptions,
):
    """The flags of `dag build`."""

    headings: ClassVar[Mapping[str, str]] = FOR_JOBS
    needs: ClassVar[Mapping[str, str]] = {
        "detach": "--on kubernetes: a build on this machine ends with its command",
        "out": "--on kubernetes: a build on this machine has its packages in its store, which --store names",
        "sdk_image": "--on kubernetes",
        "cache_bundle": "--on kubernetes",
    }

    def request(self) -> BuildRequest:
        """Return what the plan is made for; only nodes of a cluster count disk."""
        request = super().request()
        if self.on != "kubernetes":
            return request
        return replace(request, resources=resources_of_flags(self.cpu, self.ram, self.disk))

    def cluster_limits(self, capacity: ClusterCapacity, *, sharing: int = 1) -> RunLimits:
        """Return what bounds the scheduler; nodes count themselves what is taken of them.

        So many schedulers share these nodes, and what has room there is divided among them.
        """
        from dag.core.build.states import RunLimits

        unit = self.request().resources
        most = int(quantity(self.max_ram)) if self.max_ram else capacity.max_ram
        return RunLimits(
            jobs=self.jobs or max(1, capacity.jobs(unit) // sharing),
            max_ram=most if most is not None else _MAX_RAM,
            max_disk=capacity.max_disk if capacity.nodes else _MAX_DISK,
            retries=self.retries,
            fail_fast=self.fail_fast,
        )

    @property
    def is_on_cluster(self) -> bool:
        """Return whether units are Jobs.

        Raises:
            UsageError: what is not published is to be brought here, or a flag asks for something here at
                the end of a build that this machine does not see.

        """
        if self.out is not None and not self.publish:
            raise UsageError(
                "--out brings what the store publishes, and --publish=false publishes nothing",
                hint="leave one of them out",
            )
        if self.detach:
            self._require_detachable()
        return self.on == "kubernetes"

    def cluster_store(self) -> Claim | Bucket:
        """Return the store.

        Raises:
            UsageError: it is none that all nodes reach.

        """
        return cluster_store(self.store)

    def _require_detachable(self) -> None:
        """Refuse what nobody would do who has left.

        Raises:
            UsageError: a flag asks for something here at the end of the build.

        """
        if self.is_apart:
            raise UsageError(
                "--sign apart and --detach exclude each other: what drives the build has no engine's key",
                hint="leave one of them out; `dag attach` signs with a key on its machine",
            )
        later = {
            "out": (
                self.out,
                "run the same without --detach when it has ended: nothing is built twice",
            ),
            "junit": (self.junit, "`dag attach --junit` writes it"),
            "markdown": (self.markdown, "`dag attach --markdown` writes it"),
            "report": (self.report, "`dag report` writes the page when the run has ended"),
            "since": (
                self.since,
                "name the packages that `dag affected` prints: there is no git there",
            ),
        }
        for name, (given, instead) in later.items():
            if given is not None:
                raise UsageError(
                    f"--{name} and --detach exclude each other: this command ends before the build",
                    hint=instead,
                )
