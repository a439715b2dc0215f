"""The flags of `dag build`: those of a build anywhere, and those of one on Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dag.core.build.options import BuildOptions
from dag.core.flags import flag
from dag.core.kinds import choice
from dag.core.pod.options import BundleOptions, ClusterOptions, DiskOptions, ImagesOptions


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
class UnitBuildOptions(BuildOptions, ImagesOptions, BundleOptions, UnitPlaceOptions, DiskOptions):
    """The flags of `dag build`."""

    @property
    def is_on_cluster(self) -> bool:
        """Return whether units are Jobs."""
        return self.on == "kubernetes"

    @property
    def confined(self) -> bool:
        """Return whether the pods of units have no privilege."""
        return self.isolation == "userns"
