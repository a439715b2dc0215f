"""A log in a cluster that cannot be read is told as such, and is no empty log."""

from __future__ import annotations

import pytest

from dag.errors import UsageError
from dag.io.kube.api import ApiError, Kube
from dag.run.jobs.livelogs import LogReading
from tests.run.jobs.conftest import answer
from tests.support.faults import Origin
from tests.support.orders import SETTINGS


async def read(kube: Kube, origin: Origin, status: int, *, follow: bool) -> list[list[bytes]]:
    refusal = {"kind": "Status", "message": "refused", "code": status}
    running = {"name": "build", "state": {"running": {}}}
    pod = {
        "kind": "Pod",
        "metadata": {"name": "dag-x", "uid": "p", "resourceVersion": "1"},
        "spec": {"containers": [{"name": "build"}]},
        "status": {"containerStatuses": [running]},
    }
    path = f"{SETTINGS.key.pods_path}/dag-x"
    origin.handle(path, lambda _: answer(200, pod))
    origin.handle(f"{path}/log", lambda _: answer(status, refusal))
    reading = LogReading(kube, path, "build", "brotli")
    return [one async for one in reading.lines(follow=follow)]


@pytest.mark.parametrize("follow", [True, False])
async def test_who_may_not_read_is_told(kube: Kube, origin: Origin, *, follow: bool) -> None:
    with pytest.raises(ApiError, match="refused"):
        await read(kube, origin, 403, follow=follow)


async def test_a_build_that_has_not_begun_has_no_log(kube: Kube, origin: Origin) -> None:
    with pytest.raises(UsageError, match="brotli is not built yet"):
        await read(kube, origin, 400, follow=False)


async def test_a_log_ends_with_its_pod(kube: Kube, origin: Origin) -> None:
    assert await read(kube, origin, 404, follow=False) == []
