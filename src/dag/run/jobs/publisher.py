"""Publishes what a build in a cluster has finished, with a key of this machine or through a signer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dag.core.jobs.options import UnitBuildOptions
from dag.core.store.records import Record
from dag.io.package.keypairs import public_half
from dag.io.package.signing import SigningKey, make_key
from dag.io.store.local import Store
from dag.io.store.ownkey import own_key
from dag.report.terminal import Terminal
from dag.run.build.apart import make_request
from dag.run.build.signing import given_key
from dag.run.jobs.out import Delivery, records_there
from dag.run.jobs.stores import StoreAgent


class StorePublisher:
    """What publishes for one architecture; agents that can reach the store do it for this machine."""

    def __init__(self, options: UnitBuildOptions, replica: Store, terminal: Terminal) -> None:
        """Take what stands on this machine for the store."""
        self._options = options
        self._replica = replica
        self._terminal = terminal
        self._key: SigningKey | None = None

    def find_key(self) -> SigningKey:
        """Return the key that signs: the one that was given, or the store's own.

        Raises:
            UsageError: it is not on this machine, or cannot sign.
            InfrastructureError: a new one cannot be kept.

        """
        if self._key is None:
            path = given_key(self._options.key_file) or own_key(self._replica, make_key)
            self._key = SigningKey(path, public_half(path).name)
        return self._key

    async def publish(
        self, agent: StoreAgent, run: str, records: Sequence[Record]
    ) -> dict[str, str]:
        """Publish records for a run; return why some could not be, by the names of units.

        Raises:
            InfrastructureError: the cluster refuses something, or the store or the signer does.

        """
        if not records:
            return {}
        if self._options.is_apart:
            request = make_request(self._replica, run, records)
            return await agent.ask_signer(request, self._options.signer_timeout)
        given = self._options.key_file is not None
        return await agent.publish(records, self.find_key(), anew=given)

    async def deliver(self, agent: StoreAgent, published: Iterable[Record]) -> None:
        """Bring what the store publishes to the directory of --out, if there is one.

        Raises:
            InfrastructureError: no agent could serve it, or it is not what it should be.

        """
        if self._options.out is None:
            return
        records = records_there(self._replica.records, published)
        where, arch = Path(self._options.out), self._replica.arch.apk
        await agent.deliver(Delivery(where, arch, records, self._terminal))
