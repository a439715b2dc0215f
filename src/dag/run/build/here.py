"""Builds what a plan has to build on this machine, each unit as processes of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from dag.core.build.proxies import proxies_of_steps
from dag.core.build.result import Result
from dag.core.build.scripts import key_of
from dag.core.store.records import Record
from dag.io.build.confinement import detect
from dag.io.build.disk import spread
from dag.io.package.keypairs import public_half
from dag.io.removal import remove
from dag.io.store.local import Store
from dag.io.store.ownkey import KEY_NAME, own_key
from dag.io.store.seen import SeenRecords
from dag.run.aside import aside
from dag.run.build.apart import publish_or_ask
from dag.run.build.keyrings import check_keyrings
from dag.run.build.local import LocalRunner, LocalSettings
from dag.run.build.network import NetworkFaults
from dag.run.build.places import KEYS, linked_paths, named_places
from dag.run.build.resolving import UnitResolver
from dag.run.build.runs import keep_result
from dag.run.build.serving import PackageServer, bypass_of
from dag.run.build.session import Build
from dag.run.build.signing import require_published
from dag.run.build.sources import renew_git_config
from dag.run.build.steps import (
    PROXY_REMEDY,
    environment_of_builds,
    kept_from_steps,
    require_confined_steps,
    require_usable_place,
)
from dag.run.build.tools import Tools
from dag.run.sources.place import note_on_old_cache

_THROWAWAY = "key"
"""The directory among the workspaces of a key that signs nothing that is published."""


async def build_here(build: Build) -> Result:
    """Build what is planned, publish what is finished, and return the result.

    Raises:
        UsageError: nothing can be built where the store is.
        InfrastructureError: make, melange or bubblewrap is not installed, or the store fails.

    """
    basis = build.basis
    options, store = basis.options, basis.store
    if not build.plan.steps:
        _publish(build, ())
        return build.end_without_units()
    require_usable_place(store.root)
    tools = Tools.find()
    settings = _settings(build, tools)
    if settings.confined:
        require_confined_steps(settings.environment)
    else:
        basis.say("--trust-steps: the steps of a build have all rights that you have")
    if not options.hermetic and (why := kept_from_steps(settings.environment)):
        basis.say(f"{why}: {PROXY_REMEDY}")
    limiter = detect()
    if options.verbose:
        basis.say(f"limits of memory and CPU: {limiter.name}")
    if limiter.name == "none":
        basis.say("memory is not limited: dag may not write control groups here")
    spread(store.work)
    run = store.runs.begin()
    runner = LocalRunner(store, run, settings, limiter)
    try:
        result = await build.drive(run, runner)
    finally:
        remove(store.work / _THROWAWAY)
        if basis.cache().is_relative_to(store.work):
            remove(basis.cache())
    finished = runner.reused.values() if options.signs_here else runner.finished
    publishing = partial(_publish, build, finished, run.id)
    if options.is_apart:
        await aside(publishing)  # who waits for a signer can still be interrupted
    else:
        publishing()
    return keep_result(run, replace(result, open=dict(sorted(runner.open_units.items()))))


def _publish(build: Build, finished: Iterable[Record], run: str = "") -> None:
    """Publish what is finished, and what the store has of the plan; then write the index.

    With `--publish=false` this does nothing.
    """
    basis = build.basis
    if basis.options.publish:
        records = [*build.unpublished(), *finished]
        refused = publish_or_ask(basis.store, records, basis.options, basis.say, run)
        require_published(refused, is_apart=basis.options.is_apart)


def _settings(build: Build, tools: Tools) -> LocalSettings:
    # melange writes the names of keys and repositories into what it builds. They must be the
    # same wherever the store is, and the same as in a pod.
    basis = build.basis
    options, store, key = basis.options, basis.store, basis.key
    links = linked_paths(options, store.root)
    name = key_of(options.make_vars, basis.makefile.key)
    if key is None:
        made = own_key(store, tools.make_key) if options.signs_here else _throwaway(store, tools)
        if not (Path(name).is_absolute() or ".." in Path(name).parts):
            links |= {name: made, f"{name}.pub": public_half(made)}
    else:
        name = f"{KEYS}/{key.name}"
        links |= {name: key.resolve(), f"{name}.pub": public_half(key).resolve()}
    public = f"{Path(name).name}.pub"
    check_keyrings(options.keyrings, public, public_half(key or made))
    if note := note_on_old_cache(basis.directory):
        basis.say(note)
    cache = basis.cache()
    cache.mkdir(exist_ok=True)
    renew_git_config(cache)
    variables = replace(
        basis.variables,
        cache_dir=os.fspath(cache),
        melange="melange",  # the first in PATH, see `dag.run.build.serving`
        melange_dir=tools.melange_dir,
    )
    units = UnitResolver(build)
    environment = environment_of_builds(options)
    return LocalSettings(
        arch=basis.arch,
        script_at=lambda epoch: basis.script(replace(variables, source_date_epoch=epoch)),
        units=units,
        makefile=basis.makefile,
        environment=environment,
        parts=basis.parts,
        links=links,
        fingerprints=basis.fingerprints,
        timeout=options.timeout,
        server=PackageServer(
            repositories=basis.repositories,
            named=named_places(options),
            arch=basis.arch,
            melange=tools.melange,
            public_key=f"{name}.pub",
            bypass=bypass_of(options.make_vars),
        ),
        network=NetworkFaults(
            repositories=basis.repositories,
            external=build.plan.external,
            has_network=not options.hermetic,
            proxies=proxies_of_steps(environment),
        ),
        confined=not options.trust_steps,
        publishes=options.signs_here,
        remember=SeenRecords.of(store).add if options.is_apart else lambda _: None,
    )


def _throwaway(store: Store, tools: Tools) -> Path:
    """Make a key that ends with this run, for melange wants one; nothing that it signs is kept."""
    key = store.work / _THROWAWAY / KEY_NAME
    key.parent.mkdir(mode=0o700)
    tools.make_key(key)
    return key
