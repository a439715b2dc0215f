"""A log in a cluster that cannot be read is told as such, and is no empty log."""

from __future__ import annotations

import pytest

from dag.errors import UsageError
from dag.io.kube.api import ApiError, Kube
from dag.run.jobs.livelogs import LogReading
from tests.run.jobs.conftest import answer
from tests.support.faults import Answer, Origin
from tests.support.orders import SETTINGS
from tests.support.podstories import ended


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


LINES = [b"2026-01-01T00:00:00.000000000Z one\n", b"2026-01-01T00:00:01.000000000Z two\n"]
TRAILER = "dag: end of log: 2 lines, 8 bytes, exit 0"
LAST = b"2026-01-01T00:00:02.000000000Z %b\n" % TRAILER.encode()


@pytest.mark.parametrize("comes", [True, False])
async def test_an_end_that_a_node_does_not_give_at_once_is_asked_for_again(
    kube: Kube,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    comes: bool,
) -> None:
    monkeypatch.setattr("dag.run.jobs.livelogs.AGAIN", (0.01, 0.01))
    path = f"{SETTINGS.key.pods_path}/dag-x"
    over = {"name": "build", "state": ended(message=TRAILER)}
    pod = {
        "kind": "Pod",
        "metadata": {"name": "dag-x", "uid": "p", "resourceVersion": "1"},
        "spec": {"containers": [{"name": "build"}]},
        "status": {"containerStatuses": [over]},
    }
    origin.handle(path, lambda _: answer(200, pod))
    bodies = iter([b"", LINES[0], b"".join([*LINES, LAST]) if comes else LINES[0]])
    origin.handle(f"{path}/log", lambda _: Answer.of(200, body=next(bodies)))
    reading = LogReading(kube, path, "build", "brotli")
    batches = [one async for one in reading.lines(follow=True)]
    read = [line for batch in batches for line in batch]
    said = capsys.readouterr().err
    if comes:
        assert (read, said) == ([b"one", b"two", TRAILER.encode()], "")
    else:
        assert read == [b"one"]
        assert said.startswith("dag: brotli: 1 of 2 lines of the log are missing")
