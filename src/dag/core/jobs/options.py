"""The flags of `dag build`: those of a build anywhere, and those of one on Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dag.core.build.options import BuildOptions
from dag.core.flags import Options, flag
from dag.core.kinds import DIRECTORY, NAME, choice
from dag.core.pod.options import (
    BucketSecretOptions,
    BundleOptions,
    ClusterOptions,
    DiskOptions,
    ImagesOptions,
)
from dag.core.units import quantity
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.core.build.states import RunLimits
    from dag.core.jobs.capacity import ClusterCapacity

_MAX_RAM = 64 << 30
"""The most memory that a unit gets after it ran out, where nobody knows how large nodes are."""


@dataclass(frozen=True, kw_only=True)
class UnitPlaceOptions(ClusterOptions):
    """The privilege of the pods of units."""

    heading: ClassVar[str] = "Cluster"

    isolation: str = flag(
        choice("userns", "privileged"),
        "--isolation",
        "Run builds in a user namespace without any privilege, or with all of them on their nodes.",
        default="userns",
    )


@dataclass(frozen=True, kw_only=True)
class QueueOptions(Options):
    """The queue of Jobs."""

    heading: ClassVar[str] = "Scheduling"

    queue: str | None = flag(
        NAME,
        "--queue",
        "Have Jobs wait for their turn in this queue of Kueue.",
        shown="they do not wait",
    )


@dataclass(frozen=True, kw_only=True)
class UnitBuildOptions(
    BuildOptions,
    ImagesOptions,
    BundleOptions,
    UnitPlaceOptions,
    QueueOptions,
    DiskOptions,
    BucketSecretOptions,
):
    """The flags of `dag build`."""

    out: str | None = flag(
        DIRECTORY,
        "--out",
        "Bring what the store publishes from the cluster to this directory.",
        typed_only=True,
    )

    def cluster_limits(self, capacity: ClusterCapacity) -> RunLimits:
        """Return what bounds the scheduler; nodes count themselves what is taken of them."""
        from dag.core.build.states import RunLimits

        unit = self.request().resources
        most = int(quantity(self.max_ram)) if self.max_ram else capacity.max_ram
        return RunLimits(
            jobs=self.jobs or capacity.jobs(unit),
            max_ram=most if most is not None else _MAX_RAM,
            retries=self.retries,
            fail_fast=self.fail_fast,
        )

    @property
    def is_on_cluster(self) -> bool:
        """Return whether units are Jobs.

        Raises:
            UsageError: they are not, and a flag is given that is for Jobs.

        """
        if self.out is not None and self.on != "kubernetes":
            raise UsageError(
                "--out is for --on kubernetes: a build on this machine has its packages in its store",
                hint="name that with --store",
            )
        return self.on == "kubernetes"

    @property
    def confined(self) -> bool:
        """Return whether the pods of units have no privilege."""
        return self.isolation == "userns"
