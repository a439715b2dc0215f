"""HTTP for a run: the connections to each host, and bounds on how many requests are sent at once."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from dag.io.retries import RetryPolicy
from dag.io.sources.http import HttpConnection
from dag.io.sources.logins import Logins
from dag.io.sources.targets import proxy_for, target_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from dag.io.sources.targets import Proxy, RequestTarget

_RESOLVERS = 32
"""How many names are looked up at once: one that nobody answers for takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """Bounds of a run. Times in seconds, sizes in bytes."""

    jobs: int = 128
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

    def __init__(
        self, limit: int, rounds: int, proxy: Proxy | None, tls: ssl.SSLContext | None
    ) -> None:
        """Take how many requests are let in at first, and the way to the host.

        After `rounds` in a row in which it has only asked for patience, the host is given up.
        """
        self._proxy = proxy
        self._tls = tls
        self._idle: list[HttpConnection] = []
        self._limit = limit
        self._active = 0
        self._quiet_until = 0.0
        self._rounds_left = self._rounds = rounds
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Wait for a turn, and be one of the requests."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._active < self._limit)
            self._active += 1
        try:
            # Waiting for a moment that others may move: there is no event to wait for.
            while not self.is_given_up and (wait := self._quiet_until - time.monotonic()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait)
            yield
        finally:
            self._active -= 1
            async with self._changed:
                self._changed.notify()

    def back_off(self, seconds: float = 0) -> None:
        """Let fewer in from now on, and nobody for so many seconds."""
        now = time.monotonic()
        self._limit = max(1, self._limit // 2)
        if seconds and now >= self._quiet_until:  # not for each of those that were under way
            self._rounds_left -= 1
        self._quiet_until = max(self._quiet_until, now + seconds)

    def note_answer(self) -> None:
        """Take note that the host has answered with something else than a wish for patience."""
        self._rounds_left = self._rounds

    @property
    def is_given_up(self) -> bool:
        """Return whether the host has asked for patience too often, and said nothing else in between."""
        return self._rounds_left < 0

    async def connect(self, target: RequestTarget, *, patience: float) -> HttpConnection:
        """Return a connection that nobody uses; `patience` is in seconds.

        Raises:
            NoConnection: that cannot be.

        """
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle:
                return connection
            connection.close()
        return await HttpConnection.open(target, self._proxy, self._tls, patience=patience)

    def give_back(self, connection: HttpConnection) -> None:
        """Keep a connection for the next request, if it can have one."""
        if connection.make_ready():
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()


class SourceTransport:
    """The hosts and the threads, which all transfers share, and who may send when."""

    def __init__(
        self,
        limits: TransferLimits,
        threads: ThreadPoolExecutor,
        tls: ssl.SSLContext | None = None,
        logins: Logins | None = None,
    ) -> None:
        """Take the bounds and the threads.

        `tls` is how servers are verified, else the system's way; `logins` are told to their hosts.
        """
        self.limits = limits
        self.threads = threads
        self._tls = tls
        self._logins = logins or Logins()
        self._slots = asyncio.Semaphore(limits.jobs)
        self._gates: dict[tuple[bool, str, int], Gate] = {}

    async def __aenter__(self) -> Self:
        """Return itself: nothing is opened before it is needed."""
        resolvers = ThreadPoolExecutor(_RESOLVERS, "resolver")
        asyncio.get_running_loop().set_default_executor(resolvers)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        for gate in self._gates.values():
            gate.close()
        await asyncio.sleep(0)  # what was aborted is closed with the loop's next turn

    def target(self, uri: str) -> RequestTarget:
        """Return where a URI is asked for, with the login that belongs to its host.

        Raises:
            UsageError: it cannot be asked for.

        """
        return target_of(uri, self._logins)

    def login_hint(self, target: RequestTarget) -> str:
        """Return what to do about a server that wants another login than a target has."""
        return self._logins.hint(target.host, used=bool(target.login))

    def gate(self, target: RequestTarget) -> Gate:
        """Return the gate of the host that a target is at.

        Raises:
            InfrastructureError: the environment names a proxy that cannot be one, or, for https,
                CA certificates that cannot be read.

        """
        gate = self._gates.get(target.origin)
        if gate is None:
            # Both proxies, which come from the environment, and certificates, which are read once,
            # matter only where they are needed: git takes proxies that we cannot.
            proxy = proxy_for(target)
            if target.is_secure or (proxy is not None and proxy.is_secure):
                from dag.io.web import tls_context

                self._tls = self._tls or tls_context()
            gate = self._gates[target.origin] = Gate(
                self.limits.per_host, self.limits.retry.attempts, proxy, self._tls
            )
        return gate

    @asynccontextmanager
    async def turn(self, target: RequestTarget) -> AsyncIterator[Gate]:
        """Wait until a request to a host may be sent, and be that request; yield the host's gate."""
        # In this order: who has a slot never waits for a gate, so there is no deadlock, and a
        # host's queue keeps no slot from other hosts.
        gate = self.gate(target)
        async with gate.enter(), self._slots:
            yield gate
