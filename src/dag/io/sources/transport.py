"""HTTP for a run: a client for each host, and bounds on how many requests are sent at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import httpcore2
import httpx2

from dag.core.web import host_of
from dag.io.retries import RetryPolicy
from dag.io.web import NoCookies, check_proxies, tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from concurrent.futures import ThreadPoolExecutor


# How much asyncio reads at once. With less, what it has read is cut up and copied again and again: a
# large file then costs twice the processor.
httpcore2.AsyncHTTP11Connection.READ_NUM_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """Bounds of a run. Times in seconds, sizes in bytes."""

    jobs: int = 64
    per_host: int = 32
    """Requests at first; a host that asks for patience, or takes no connection, gets fewer."""
    max_size: int = 8 << 30
    connect: float = 20.0
    stall: float = 30.0
    """An attempt has failed after so long without a byte, or with fewer than `slowest` a second."""
    slowest: int = 100
    retry: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(attempts=5, longest=30, longest_asked=120)
    )


class Gate:
    """A host: its connections, how many requests it gets at once, and until when none."""

    def __init__(self, limit: int, client: httpx2.AsyncClient) -> None:
        """Take how many requests are let in at first, and the client that sends them."""
        self.client = client
        self._limit = limit
        self._active = 0
        self._quiet_until = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Wait for a turn, and be one of the requests."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._active < self._limit)
            self._active += 1
        try:
            # Waiting for a moment that others may move: there is no event to wait for.
            while (wait := self._quiet_until - time.monotonic()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait)
            yield
        finally:
            self._active -= 1
            async with self._changed:
                self._changed.notify()

    def back_off(self, seconds: float = 0) -> None:
        """Let fewer in from now on, and nobody for so many seconds."""
        self._limit = max(1, self._limit // 2)
        self._quiet_until = max(self._quiet_until, time.monotonic() + seconds)


class SourceTransport:
    """The hosts and the threads, which all transfers share, and who may send when."""

    def __init__(
        self, limits: TransferLimits, threads: ThreadPoolExecutor, tls: ssl.SSLContext | None = None
    ) -> None:
        """Take the bounds and the threads; `tls` is how servers are verified, else the system's way."""
        self.limits = limits
        self.threads = threads
        self._tls = tls
        self._slots = asyncio.Semaphore(limits.jobs)
        self._gates: dict[tuple[bool, str], Gate] = {}

    async def __aenter__(self) -> Self:
        """Return itself: nothing is opened before it is needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        for gate in self._gates.values():
            await gate.client.aclose()

    def gate(self, uri: str) -> Gate:
        """Return the gate of the host that `uri` is asked from.

        Raises:
            InfrastructureError: the environment names a proxy that cannot be one, or, for https,
                CA certificates that cannot be read.

        """
        secure = uri.partition(":")[0].lower() == "https"
        key = (secure, host_of(uri))
        if key not in self._gates:
            # A client each: for every request it looks at all of its connections.
            self._gates[key] = Gate(self.limits.per_host, self._client(secure=secure))
        return self._gates[key]

    def _client(self, *, secure: bool) -> httpx2.AsyncClient:
        # Proxies and their exceptions come from the environment. Both they and certificates, which
        # are read once, matter only where they are needed: git takes proxies that we cannot.
        check_proxies()
        if secure and self._tls is None:
            self._tls = tls_context()
        limits, most = self.limits, self.limits.per_host
        return httpx2.AsyncClient(
            headers={"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "dag"},
            timeout=httpx2.Timeout(limits.stall, connect=limits.connect, pool=None),
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            verify=self._tls if secure and self._tls is not None else False,
            cookies=NoCookies(),
        )

    @asynccontextmanager
    async def turn(self, uri: str) -> AsyncIterator[None]:
        """Wait until a request to the host of `uri` may be sent, and be that request."""
        # In this order: who has a slot never waits for a gate, so there is no deadlock, and a
        # host's queue keeps no slot from other hosts.
        async with self.gate(uri).enter(), self._slots:
            yield
