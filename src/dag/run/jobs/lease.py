"""Holds the Lease of a store, so that one client at a time drives a build there."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread

import msgspec

from dag.core.jobs.lease import (
    LEASE_DURATION,
    RENEWAL,
    DriverNote,
    LeaseView,
    cancelled_in,
    held_by,
    new_lease,
    read_lease,
)
from dag.core.jobs.names import StoreInCluster
from dag.core.kube.objects import KubeObject
from dag.errors import InfrastructureError
from dag.io.kube.api import ApiError, Kube
from dag.io.store.lock import Held
from dag.report.words import seconds

_CHANGED = (404, 409, 422)
"""The status of a patch whose test has failed, as somebody else was faster; or of a Lease deleted."""


@dataclass(frozen=True, slots=True)
class LeaseObject:
    """The Lease of a store in the API."""

    kube: Kube
    key: StoreInCluster

    @property
    def _path(self) -> str:
        return f"{self.key.leases_path}/{self.key.lease_name}"

    async def read(self) -> LeaseView | None:
        """Return the Lease as it is; None if there is none.

        Raises:
            ApiError: the API server cannot be reached, or refuses.

        """
        found = await self.kube.find(self._path)
        return None if found is None else read_lease(found)

    async def read_or_make(self) -> LeaseView:
        """Return the Lease; if there is none, make one that nobody holds.

        Raises:
            ApiError: the API server cannot be reached, or refuses.

        """
        while (found := await self.read()) is None:
            try:
                made = await self.kube.create_named(self.key.leases_path, new_lease(self.key))
                return read_lease(made)
            except ApiError as error:
                if error.status != 409:  # somebody else has just made it
                    raise
        return found

    async def change(self, seen: LeaseView, patch: list[KubeObject]) -> LeaseView | None:
        """Patch the Lease as it was seen; return None if it is another one meanwhile.

        Raises:
            ApiError: the API server cannot be reached, or refuses.

        """
        try:
            return read_lease(await self.kube.patch(self._path, patch))
        except ApiError as error:
            if error.status not in _CHANGED:
                raise
            now = await self.read()
            if now is not None and now.version == seen.version:
                raise  # not because of others: the API server admits no such change
            return None

    async def cancel(self, run: str) -> None:
        """Ask the holder to end its run.

        Raises:
            ApiError: the API server cannot be reached, or refuses.

        """
        while (found := await self.read()) is not None and found.note.run == run:
            if await self.change(found, cancelled_in(found, run)) is not None:
                return


@dataclass(frozen=True, slots=True)
class LeaseEnd:
    """Why a build must end although it is not finished."""

    words: str
    is_lost: bool
    """Whether another client drives the build now, so that its Jobs are not ours any more."""


class StoreLease:
    """The Lease of a store as this process holds it; a thread renews it, whatever else goes on."""

    def __init__(
        self,
        connect: Callable[[], Kube],
        key: StoreInCluster,
        note: DriverNote,
        say: Callable[[str], None],
    ) -> None:
        """Take what opens a connection, and what others are told of the driver."""
        self._connect = connect
        self._key = key
        self._note = note
        self._say = say
        host = socket.gethostname()
        self._holder = f"pod {host}" if note.job else f"process {os.getpid()} on {host}"
        self._view: LeaseView | None = None
        self._closed = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._keep()), name="lease", daemon=True)
        self._end: LeaseEnd | None = None
        self._listener: Callable[[LeaseEnd], object] | None = None
        self.progress: Callable[[], str] = str
        """What returns how far the run is, in words."""

    async def acquire(self, *, wait: bool) -> None:
        """Take the Lease, also of a holder that is gone, and renew it from now on.

        Raises:
            Held: somebody else drives a build in this store, and `wait` is not set.
            ApiError: the API server cannot be reached, or refuses.

        """
        async with self._opened() as lease:
            while self._view is None:
                found = await lease.read_or_make()
                if found.holder and found.note.client != self._note.client:
                    gone = await self._await_end(lease, found, wait=wait)
                    if gone is None:
                        continue
                    found = gone
                self._view = await lease.change(found, self._patch(found))
        self._thread.start()

    def tell_run(self, run: str) -> None:
        """Tell others which run is driven."""
        self._note = msgspec.structs.replace(self._note, run=run)

    def listen(self, listener: Callable[[LeaseEnd], object]) -> None:
        """Have `listener` called, from another thread, if the build must end."""
        self._listener = listener
        if self._end is not None:
            listener(self._end)

    def require_held(self) -> None:
        """Refuse to go on if another client drives the build now.

        Raises:
            InfrastructureError: one does.

        """
        if self._end is not None and self._end.is_lost:
            raise InfrastructureError(
                self._end.words,
                hint="`dag status` tells of the run; the same command goes on with it",
            )

    def close(self) -> None:
        """Let others have the Lease."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    async def _await_end(
        self, lease: LeaseObject, found: LeaseView, *, wait: bool
    ) -> LeaseView | None:
        """Wait until a holder has let go of the Lease; return it if the holder is gone instead."""
        loop = asyncio.get_running_loop()
        holder, renewed, since = found.holder, found.renewed, loop.time()
        self._say(f"{holder} builds in {self._key}; finding out whether it still does")
        while loop.time() - since < LEASE_DURATION:
            await asyncio.sleep(RENEWAL / 2)
            try:
                now = await lease.read_or_make()
            except ApiError as error:
                if not wait or not lease.kube.may_heal(error):
                    raise
                since = loop.time()  # the holder could tell nobody that it is there, either
                continue
            if now.holder != holder:
                return None
            found = now
            if now.renewed == renewed:
                continue
            if not wait:
                words = f": {now.note.progress}" if now.note.progress else ""
                raise Held(
                    f"{holder} drives run {now.note.run or 'that is planned'} in {self._key}{words}",
                    hint="wait for it with --wait, look at it with `dag status`, or end it with"
                    " `dag cancel`",
                )
            renewed, since = now.renewed, loop.time()
        self._say(f"nothing was heard of {holder} for {seconds(LEASE_DURATION)}: taking over")
        return found

    def _patch(self, found: LeaseView, *, held: bool = True) -> list[KubeObject]:
        note = msgspec.structs.replace(self._note, progress=self.progress() if held else "")
        return held_by(found, self._holder if held else "", note, datetime.now(UTC))

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[LeaseObject]:
        kube = self._connect()
        try:
            yield LeaseObject(kube, self._key)
        finally:
            await kube.close()

    async def _keep(self) -> None:
        async with self._opened() as lease:
            while self._view is not None and not await asyncio.to_thread(
                self._closed.wait, RENEWAL
            ):
                with suppress(ApiError):  # the next time
                    await self._renew(lease, self._view)
            with suppress(ApiError):  # then it runs out
                await self._let_go(lease, self._view)

    async def _let_go(self, lease: LeaseObject, view: LeaseView | None) -> None:
        while view is not None and view.holder and self._is_ours(view):
            if await lease.change(view, self._patch(view, held=False)) is not None:
                return
            view = await lease.read()  # somebody may have asked just now to cancel the run

    async def _renew(self, lease: LeaseObject, view: LeaseView) -> None:
        renewed = await lease.change(view, self._patch(view))
        if renewed is None:
            renewed = await lease.read_or_make()
            if not self._is_ours(renewed):
                other = renewed.holder or "another client"
                words = f"{other} has taken over, and this client drives the build no more"
                self._view = None
                self._tell_end(LeaseEnd(words, is_lost=True))
                return
            is_cancelled = renewed.cancelled and renewed.cancelled == self._note.run
            if is_cancelled and self._end is None:  # a second time would hurry the end
                self._tell_end(LeaseEnd(f"run {self._note.run} is cancelled", is_lost=False))
        self._view = renewed

    def _is_ours(self, view: LeaseView) -> bool:
        """Return whether nobody else has, or had, the Lease; one that was made anew is nobody's."""
        return view.holder in ("", self._holder) and view.note.client in ("", self._note.client)

    def _tell_end(self, end: LeaseEnd) -> None:
        self._end = end
        self._say(end.words)
        if self._listener is not None:
            with suppress(RuntimeError):  # its loop is closed: the build has ended by itself
                self._listener(end)
