"""`dag publish` for a store that only pods reach: its agent publishes, and the key stays here."""

from __future__ import annotations

from dataclasses import replace

from dag.core.arch import Arch
from dag.core.build.publishing import ProvenUnits, Publishing, make_publishing, refused_of
from dag.core.jobs.history import RunQuery
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.publishing import PublishOptions
from dag.io.kube.opening import opened_cluster
from dag.io.store.local import Store
from dag.report.terminal import Terminal, say
from dag.run.build.publish import finished_in, proven_by, published_of
from dag.run.jobs.build import ClusterBuild
from dag.run.jobs.clusterstore import ClusterStore
from dag.run.jobs.history import opened_runs
from dag.run.jobs.settings import agent_image, store_settings, with_identity
from dag.run.pod.bundle import namespace_of
from dag.run.signals import run_interruptibly


def publish_on_cluster(options: PublishOptions, terminal: Terminal) -> list[Publishing]:
    """Publish what a store in a cluster has finished, for each architecture.

    Raises:
        UsageError: something that was asked for is wrong, or the key cannot sign.
        Held: somebody else builds in this store, and `options.wait` is not set.
        InfrastructureError: the cluster or a registry cannot be reached or refuses.

    """
    image = agent_image(options, terminal)
    if options.run is None:
        return [_publish(options, arch, image, terminal, None) for arch in options.archs]
    with opened_runs(options, RunQuery(run=options.run)) as runs:
        found = runs.find(options.run)
        return [
            _publish(options, one.arch, image, terminal, (one, found.id or options.run))
            for one in found.stores
        ]


def _publish(
    options: PublishOptions,
    arch: Arch,
    image: str,
    terminal: Terminal,
    run: tuple[Store, str] | None,
) -> Publishing:
    """Publish for one architecture; `run` is one whose proven units are meant, and where its files are."""
    settings = store_settings(options, namespace_of(options, terminal), arch)
    settings = replace(run_interruptibly(_identified(options, settings)), bundle=image)
    building = replace(options.of_build(), arch=(arch,))
    store = ClusterStore(building, settings, terminal)
    try:
        proven = run_interruptibly(_look(store, run, dry_run=options.dry_run))
        before, refused = published_of(store.replica, proven), {}
        if proven.records and not options.dry_run:
            store.find_key()
            refused = run_interruptibly(store.publish(list(proven.records)))
            if refused:
                # An agent's answer has room for some alone, so the store tells of the others.
                store.fill(run_interruptibly(store.look()))
                refused = refused_of(proven.records, published_of(store.replica, proven), refused)
        return make_publishing(arch.apk, proven, before, refused)
    finally:
        store.close()


async def _identified(options: PublishOptions, settings: JobSettings) -> JobSettings:
    async with opened_cluster(options, say) as kube:
        return await with_identity(kube, settings)


async def _look(
    store: ClusterStore, run: tuple[Store, str] | None, *, dry_run: bool
) -> ProvenUnits:
    """Find out what the store has proven."""
    if not dry_run:
        await store.acquire()
    seen = await store.look()
    if run is None:
        return finished_in(ClusterBuild.plan(store, seen, store.terminal.say, sharing=1).build)
    store.fill(seen)
    return proven_by(*run, store.replica)
