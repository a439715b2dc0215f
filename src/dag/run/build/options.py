"""The flags of `dag build` that decide what is built and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.events import ComputeResources
from dag.core.build.plan import BuildRequest
from dag.core.build.states import RunLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The values of those flags; durations are in seconds."""

    directory: Path
    arch: Arch
    pipeline_dirs: tuple[Path, ...]
    build_options: tuple[str, ...]
    store: Path
    request: BuildRequest
    since: str | None
    repositories: tuple[str, ...]
    keyrings: tuple[str, ...]
    jobs: int
    capacity: ComputeResources
    """The resources of this machine."""
    max_ram: int
    retries: int
    fail_fast: bool
    timeout: float | None
    hermetic: bool
    make_vars: tuple[str, ...]
    target_template: str | None
    signing_key: Path | None
    verbosity: int

    def limits(self) -> RunLimits:
        """Return the limits that bind the scheduler."""
        return RunLimits(
            jobs=self.jobs,
            capacity=self.capacity,
            max_ram=self.max_ram,
            retries=self.retries,
            fail_fast=self.fail_fast,
        )
