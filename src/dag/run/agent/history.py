"""Tells a client that cannot reach a store what that keeps of its runs."""

from __future__ import annotations

from pathlib import Path

from dag.core.arch import Arch
from dag.core.jobs.history import RunQuery
from dag.core.jobs.listing import StoreListing, encode_listing
from dag.core.limits import RUN_FILES, Limit, TooLarge
from dag.io.store.local import Store
from dag.io.store.objects import Objects
from dag.io.store.runs import Run
from dag.report.terminal import show
from dag.run.agent.places import open_agent_store

_LOG = Limit("a log that an agent tells", 64 << 20)
"""It is packed on the agent's own log, of which a node keeps 10 MiB."""


def list_runs(location: str, arch: Arch, scratch: Path, query: RunQuery) -> None:
    """Write what a store keeps of runs to the standard output: journals, and a log if one is asked for."""
    store = open_agent_store(location, arch, scratch)
    runs = _chosen(store, query)
    objects: dict[str, bytes] = {}
    for run in runs:
        _add(objects, store.objects, run.names.journal, RUN_FILES)
        if query.unit:
            _add(objects, store.objects, run.names.log(query.unit), _LOG)
    show(encode_listing(StoreListing(objects=objects)))


def _chosen(store: Store, query: RunQuery) -> list[Run]:
    runs = [run for run in store.runs.all() if run.id.startswith(query.run)]
    if query.run or query.every:
        return runs
    # The latest one tells why it has no log, if another one has it.
    logged = next((run for run in runs if query.unit and run.has_log(query.unit)), None)
    return [*runs[:1], *([logged] if logged and logged is not runs[0] else [])]


def _add(found: dict[str, bytes], objects: Objects, name: str, limit: Limit) -> None:
    try:
        one = objects.read(name, limit)
    except TooLarge as error:
        found[name] = f"dag: {error.message}\n".encode()
        return
    if one is not None:
        found[name] = one.data
