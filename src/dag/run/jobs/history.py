"""Brings what a store in a cluster keeps of its runs to this machine, for whoever reads runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dag.core.jobs.history import RunQuery
from dag.core.jobs.listing import StoreListing
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.options import ClusterLogsOptions, ClusterStatusOptions
from dag.core.store.layout import read_run_of
from dag.errors import InfrastructureError
from dag.io.store.local import Store
from dag.report.terminal import Terminal, say
from dag.run.build.stores import store_place
from dag.run.jobs.settings import agent_image, store_settings
from dag.run.jobs.standing import opened_cluster
from dag.run.jobs.stores import StoreAgent
from dag.run.pod.bundle import namespace_of
from dag.run.signals import run_interruptibly

RunsOptions = ClusterStatusOptions | ClusterLogsOptions


@contextmanager
def opened_runs(options: RunsOptions, query: RunQuery) -> Iterator[Store]:
    """Yield a store of which runs can be read: that of the flags, or a copy of what a query finds.

    Raises:
        UsageError: the flags name no store, or no repository for the agent's image.
        InfrastructureError: the store, the cluster or a registry cannot be reached or refuses.

    """
    if not options.is_on_cluster:
        yield store_place(options, say).store(options.arch)
        return
    terminal = Terminal(verbosity=options.verbose)
    settings = store_settings(options, namespace_of(options, terminal), options.arch)
    settings = replace(settings, bundle=agent_image(options, terminal))
    listing = run_interruptibly(_ask(options, settings, query))
    with TemporaryDirectory(prefix="dag-") as place:
        store = Store(Path(place), options.arch)
        store.name = str(settings.store)
        for note in listing.notes:
            say(note)
        for name, data in listing.objects.items():
            if read_run_of(name) is None or ".." in name.split("/"):
                raise InfrastructureError(f"the agent tells of {name}, which is of no run")
            path = store.state / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield store


async def _ask(options: RunsOptions, settings: JobSettings, query: RunQuery) -> StoreListing:
    async with opened_cluster(options) as kube:
        return await StoreAgent(kube, settings, say).list_runs(query)
