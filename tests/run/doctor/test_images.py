"""What `dag doctor` says of images."""

from __future__ import annotations

import asyncio

import pytest

from dag.core.doctor.options import DoctorOptions
from dag.report.terminal import Terminal
from dag.run.doctor.images import ImageChecks
from dag.run.pod.examination import examine


@pytest.mark.long
def test_who_cannot_reach_the_default_image_is_told_the_flag_for_another() -> None:
    options = DoctorOptions(sdk_image="127.0.0.1:1/sdk:1", insecure_registry=True)
    check = next(one for one in ImageChecks(options, Terminal()).checks())
    assert check.name == "sdk image"
    found = asyncio.run(examine([check]))["sdk image"]
    assert found.message.startswith("registry 127.0.0.1:1 cannot be reached")
    assert found.fix
    assert found.fix.endswith("; or name an image elsewhere with --sdk-image")
