"""Tells a client that cannot reach a store what that keeps of its runs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from dag.core.arch import Arch
from dag.core.jobs.history import RunQuery
from dag.core.jobs.listing import StoreListing, encode_listing
from dag.core.limits import RUN_FILES, Limit, TooLarge
from dag.core.store.layout import RUNS, is_run_id
from dag.io.store.local import Store
from dag.io.store.objects import Objects
from dag.io.store.runs import Run
from dag.report.terminal import show
from dag.report.words import count
from dag.run.agent.places import open_agent_store

_LOG = Limit("a log that an agent tells", 64 << 20)
"""It is packed on the agent's own log, of which a node keeps 10 MiB."""
_MOST = 4 << 20
"""Bytes of packed journals after which no more are listed, for the same reason."""


def list_runs(location: str, arch: Arch, scratch: Path, query: RunQuery) -> None:
    """Write what a store keeps of runs to the standard output: journals, and a log if one is asked for."""
    store = open_agent_store(location, arch, scratch)
    runs = _chosen(store, query)
    notes = [*_logs_to_come(store, query)]
    objects: dict[str, bytes] = {}
    packed = 0
    for number, run in enumerate(runs):
        _add(objects, store.objects, run.names.journal, RUN_FILES)
        if query.unit:
            _add(objects, store.objects, run.names.log(query.unit), _LOG)
        packed += len(zlib.compress(objects.get(run.names.journal, b"")))
        if query.every and packed > _MOST and (left := len(runs) - number - 1):
            notes.append(f"the list ends here: {count(left, 'older run')} would make it too long")
            break
    show(encode_listing(StoreListing(objects=objects, notes=notes)))


def _logs_to_come(store: Store, query: RunQuery) -> Iterator[str]:
    """Say where the latest log is if its run has no journal yet, which comes when that ends."""
    for name in sorted(filter(is_run_id, store.objects.folders(RUNS)), reverse=True):
        run = store.runs.of(name)
        if not query.unit or store.objects.look(run.names.journal) is not None:
            return
        if name.startswith(query.run) and run.has_log(query.unit):
            place = store.objects.address(run.names.log(query.unit))
            yield (
                f"the run {name} has not ended, and what it has of {query.unit} can be read here"
                f" when it has; until then it is {place}"
            )
            return


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
