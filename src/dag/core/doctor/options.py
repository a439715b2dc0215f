"""The flags of `dag doctor`: all of `dag pod`, those that `dag build` has besides, and how to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import ClassVar

from dag.core.arch import Arch
from dag.core.build.options import STORE_KINDS, BuildOptions, StoreOptions
from dag.core.build.signeroptions import PublishingOptions
from dag.core.flags import Options, flag, flag_group, flags_of, switch
from dag.core.jobs.options import DetachOptions, QueueOptions, UnitBuildOptions
from dag.core.jobs.stores import store_on_cluster
from dag.core.kinds import choice
from dag.core.pod.options import PodOptions


@flag_group
class ExaminationOptions(Options):
    """Extent of an examination."""

    heading: ClassVar[str] = "Examination"

    on: str = flag(
        choice("pod", "kubernetes", "local"),
        "--on",
        "Examine `dag pod`, `dag build --on kubernetes`, or `dag build` on this machine.",
        default="pod",
        typed_only=True,
    )
    probe: bool = switch(
        "--probe",
        "Try with small pods what only a node can tell. If false, none is created.",
        default=True,
    )


@flag_group
class ExaminedPodOptions(PodOptions):
    """The flags of `dag pod`, without the default of one that `dag build` has another default of."""

    heading: ClassVar[str] = "Cluster"

    isolation: str = flag(
        choice("auto", "privileged", "userns"),
        "--isolation",
        "Run the build with all privileges on its node, or without any in a user namespace; `auto` is "
        "what the examined command does by itself.",
        default="auto",
    )


def _places() -> dict[str, str]:
    """Return with which values of --on a flag is of use, by field: where the examined command has it."""
    pod, build = (
        {one.field: one.flag.needs.partition(": ")[0] for one in flags_of(command)}
        for command in (PodOptions, UnitBuildOptions)
    )
    jobs = "--on kubernetes"
    places = {"probe": f"--on pod or {jobs}"}
    for field in (pod.keys() | build.keys()) - {"on"}:
        # The doctor of this machine holds --disk against the room for the store.
        is_local = field == "disk" or (field in build and build[field] != jobs)
        has = {"--on pod": field in pod, jobs: field in build, "--on local": is_local}
        if not all(has.values()):
            alone = {**pod, **build}[field] if (field in pod) != (field in build) else ""
            here = " or ".join(place for place in has if has[place])
            places[field] = f"{here} and {alone}" if alone not in ("", jobs) else here
    return places


@flag_group
class DoctorOptions(
    ExaminationOptions,
    ExaminedPodOptions,
    StoreOptions,
    QueueOptions,
    PublishingOptions,
    DetachOptions,
):
    """The flags of `dag doctor`."""

    texts: ClassVar[Mapping[str, str]] = {
        "store": f"Examine this store of `dag build`: {STORE_KINDS}.",
    }
    needs: ClassVar[Mapping[str, str]] = _places()

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: two flags exclude each other, or what is examined has no such store.

        """
        if self.is_for_jobs:
            store_on_cluster(self.store, self.bucket_secret)
        elif self.on == "pod":
            super().check()

    def of_build(self, arch: Arch) -> BuildOptions:
        """Return the flags of the build on this machine that is examined, for one architecture."""
        known = {one.name for one in fields(BuildOptions)}
        mine = {name: value for name, value in self.__dict__.items() if name in known}
        return BuildOptions(**{**mine, "arch": (arch,), "on": "local"})

    @property
    def is_for_jobs(self) -> bool:
        """Return whether a build as Jobs is examined."""
        return self.on == "kubernetes"

    @property
    def confined(self) -> bool:
        """Return whether the build has no privilege."""
        return self.isolation == "userns" or (self.isolation == "auto" and self.is_for_jobs)
