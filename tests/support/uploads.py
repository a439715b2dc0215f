"""What tests upload to registries, and a clock that only counts."""

from __future__ import annotations

import hashlib

from dag.core.image.descriptors import Blob
from dag.io.image.registry.repository import ImageRepository
from dag.io.image.registry.requests import Body
from tests.support.faults import FaultProxy, Origin

DATA = b"a layer of some size " * 20_000


class Waits(list[float]):
    """A stand-in for the clock, which records how long the client would have waited."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def host_of(server: FaultProxy | Origin) -> str:
    return server.url.removeprefix("http://")


def blob(data: bytes) -> Blob:
    return Blob("application/octet-stream", f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))


def upload(repository: ImageRepository) -> int:
    return repository.upload(blob(DATA), Body.of(DATA))
