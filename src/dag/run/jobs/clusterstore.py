"""A store that pods reach, as this machine has it: what stands for it here, its Lease and its agents."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from dag.core.jobs.capacity import ClusterCapacity, capacity_of
from dag.core.jobs.handover import Handover
from dag.core.jobs.lease import DriverNote
from dag.core.jobs.listing import StoreListing
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.names import BUNDLE_ANNOTATION
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.signer import PRIVILEGE_REACHES_KEY
from dag.core.kube.objects import KubeObject
from dag.core.pod.manifest import RUN_LABEL
from dag.core.store.records import Record
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.io.kube.opening import open_cluster, opened_cluster
from dag.report.terminal import Terminal
from dag.run.jobs.earlier import find_jobs
from dag.run.jobs.lease import StoreLease
from dag.run.jobs.publisher import StorePublisher
from dag.run.jobs.replica import client_of, fill_replica, open_replica, replica_place
from dag.run.jobs.stores import StoreAgent
from dag.run.pod.access import read_list


@dataclass(frozen=True, slots=True)
class SeenCluster:
    """What there was in a cluster when somebody looked."""

    listing: StoreListing
    """What the store has."""
    capacity: ClusterCapacity
    """What units may take of the nodes, as far as anybody knows."""
    jobs: tuple[KubeObject, ...]
    """The Jobs of units that are there, of any run."""

    def run_of(self, bundle: str) -> str:
        """Return the newest run of a bundle of which Jobs are there; empty if there is none."""
        same = (
            one for one in self.jobs if one["metadata"]["annotations"][BUNDLE_ANNOTATION] == bundle
        )
        return max((str(one["metadata"]["labels"][RUN_LABEL]) for one in same), default="")


class ClusterStore:
    """A store on a volume claim or in a bucket, for one architecture."""

    def __init__(
        self,
        options: UnitBuildOptions,
        settings: JobSettings,
        terminal: Terminal,
        handed: Handover | None = None,
    ) -> None:
        """Open what stands for the store on this machine; no cluster is asked.

        `handed` is what a client has told of the build, if it is driven in the cluster itself.

        Raises:
            Held: somebody else on this machine builds in the store for this architecture.
            InfrastructureError: the directory that stands for the store cannot be used.

        """
        self.options = options
        self.settings = settings
        self.terminal = terminal
        self.handed = handed
        server, arch = connect(options.kubeconfig, options.context).server, settings.arch
        place = replica_place(server, settings.namespace, str(settings.store), arch)
        self.replica = open_replica(place, arch, wait=options.wait, say=terminal.say)
        self.publisher = StorePublisher(options, self.replica, terminal)
        note = (
            DriverNote(client=handed.client, job=handed.job, run=handed.run)
            if handed is not None
            else DriverNote(client=client_of(self.replica))
        )
        self.lease = StoreLease(
            lambda: open_cluster(options, lambda _: None), settings.key, note, terminal.say
        )

    async def acquire(self) -> None:
        """Become who drives builds in the store for this architecture.

        Raises:
            Held: somebody else does, and `--wait` was not given.
            ApiError: the API server cannot be reached, or refuses.

        """
        await self.lease.acquire(wait=self.options.wait)

    def close(self) -> None:
        """Let go of the Lease, and of the store's place on this machine."""
        self.lease.close()
        self.replica.close()

    def cluster(self) -> AbstractAsyncContextManager[Kube]:
        """Return what opens a connection to the cluster and closes it."""
        return opened_cluster(self.options, self.terminal.say)

    def agent(self, kube: Kube, run: str) -> StoreAgent:
        """Return what has agents do something to the store, for a run."""
        return StoreAgent(kube, replace(self.settings, run=run), self.terminal.say)

    async def look(self) -> SeenCluster:
        """Ask the agent what the store has, and the cluster for its nodes and Jobs.

        Raises:
            InfrastructureError: the cluster cannot be reached or refuses, or no agent could tell.

        """
        async with self.cluster() as kube:
            capacity = await self._capacity(kube)
            listing = await self.agent(kube, self.settings.run).list()
            return SeenCluster(listing, capacity, await find_jobs(kube, self.settings.key))

    async def _capacity(self, kube: Kube) -> ClusterCapacity:
        nodes = await read_list(kube, "/api/v1/nodes")
        if nodes is None and self.handed is not None:
            return self.handed.capacity.get(self.settings.arch.apk, ClusterCapacity())
        return capacity_of(nodes or (), self.settings.node, self.options)

    def fill(self, seen: SeenCluster) -> None:
        """Let what stands for the store have what the agent has told of that.

        Raises:
            InfrastructureError: what it told is damaged.

        """
        fill_replica(self.replica, seen.listing, self.terminal.say)

    def find_key(self) -> None:
        """Find the key that signs, if anything is published, before anything is built.

        Raises:
            UsageError: it is not on this machine.
            InfrastructureError: a new one cannot be kept.

        """
        options = self.options
        if options.publish and options.is_apart and not options.confined:
            self.terminal.say(PRIVILEGE_REACHES_KEY)
        if options.signs_here:
            self.publisher.find_key()

    async def publish(self, records: list[Record]) -> dict[str, str]:
        """Publish records of the store; return why some could not be, by the names of units.

        Raises:
            InfrastructureError: the cluster refuses something, or the store does.

        """
        run = "publish"
        async with self.cluster() as kube:
            agent = self.agent(kube, run)
            refused = await self.publisher.publish(agent, run, records)
            await self.publisher.deliver(agent, records)
        return refused
