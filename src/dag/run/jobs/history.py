"""Brings what a store in a cluster keeps of its runs to this machine, for whoever reads runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dag.core.arch import DEFAULT_ARCH, Arch
from dag.core.decoding import Undecodable
from dag.core.jobs.history import RunQuery
from dag.core.jobs.listing import StoreListing, require_path
from dag.core.jobs.manifest import JobSettings
from dag.core.store.layout import read_run_of
from dag.errors import InfrastructureError
from dag.io.kube.opening import opened_cluster
from dag.io.store.places import StorePlace
from dag.report.terminal import Terminal, say
from dag.run.build.storedruns import StoredRuns
from dag.run.build.stores import store_place
from dag.run.jobs.settings import RunsOptions, agent_image, store_settings, with_identity
from dag.run.jobs.stores import StoreAgent
from dag.run.pod.bundle import namespace_of
from dag.run.signals import run_interruptibly


@contextmanager
def opened_runs(options: RunsOptions, query: RunQuery) -> Iterator[StoredRuns]:
    """Yield runs that can be read: of the store of the flags, or of a copy of what a query finds.

    Raises:
        UsageError: the flags name no store, or no repository for the agent's image.
        InfrastructureError: the store, the cluster or a registry cannot be reached or refuses.

    """
    if not options.is_on_cluster:
        yield StoredRuns(store_place(options, say), options.arch)
        return
    terminal = Terminal(verbosity=options.verbose)
    arch = options.arch[0] if options.arch else Arch.parse(DEFAULT_ARCH)
    settings = store_settings(options, namespace_of(options, terminal), arch)
    settings = replace(settings, bundle=agent_image(options, terminal))
    listing = run_interruptibly(_ask(options, settings, query))
    with TemporaryDirectory(prefix="dag-") as place:
        copy = StorePlace(place, Path(place))
        for note in listing.notes:
            say(note)
        for name, data in listing.objects.items():
            try:
                require_path(name)
            except Undecodable as error:
                raise InfrastructureError(
                    f"what the agent tells of runs is damaged: {error}"
                ) from error
            if read_run_of(name) is None:
                raise InfrastructureError(f"the agent tells of {name!r}, which is of no run")
            copy.state.write(name, data)
        yield StoredRuns(copy, options.arch, str(settings.store))


async def _ask(options: RunsOptions, settings: JobSettings, query: RunQuery) -> StoreListing:
    async with opened_cluster(options, say) as kube:
        settings = await with_identity(kube, settings)
        return await StoreAgent(kube, settings, say).list_runs(query, options.arch or ())
