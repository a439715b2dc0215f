"""The flags of `dag doctor`: all of `dag pod`, and how to examine them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dag.core.flags import Options, switch
from dag.core.pod.options import PodOptions


@dataclass(frozen=True, kw_only=True)
class ExaminationOptions(Options):
    """Extent of an examination."""

    heading: ClassVar[str] = "Examination"

    probe: bool = switch(
        "--probe",
        "Try with small pods what only a node can tell. If false, none is created.",
        default=True,
    )


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(ExaminationOptions, PodOptions):
    """The flags of `dag doctor`."""
