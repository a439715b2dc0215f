"""Reads what a container of a Job's Pod has written, as far as its node still has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from dag.core.kube.objects import KubeView
from dag.core.limits import CONTAINER_LOG
from dag.io.kube.api import Kube


async def read_lines(
    kube: Kube,
    pod: KubeView,
    container: str,
    *,
    tail: int | None = None,
    longest: int | None = None,
) -> list[str]:
    """Return the lines of a container's log: the last `tail`, and `longest` bytes of each at most.

    Raises:
        ApiError: the API server or the node does not have it.
        TooLarge: it is over the limit.

    """
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    found: list[str] = []
    size = 0
    batches: AsyncGenerator[list[bytes]] = kube.log(path, container, tail=tail)
    async with aclosing(batches):
        async for batch in batches:
            size += sum(map(len, batch))
            CONTAINER_LOG.check(size, f"the log of {container} in {metadata['name']}")
            # Each line has its time before it.
            said = (line.partition(b" ")[2] for line in batch)
            found += [one[:longest].decode(errors="replace") for one in said]
    return found
