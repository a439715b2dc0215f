"""Tells a client that cannot reach a store what that keeps of its runs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from dag.core.arch import ARCHITECTURES, Arch
from dag.core.jobs.history import RunQuery
from dag.core.jobs.listing import StoreListing, encode_listing
from dag.core.limits import RUN_FILES, Limit, TooLarge
from dag.errors import UsageError
from dag.io.store.local import Store
from dag.io.store.objects import Objects
from dag.io.store.runs import Run
from dag.report.terminal import show
from dag.report.words import count
from dag.run.agent.places import open_agent_place
from dag.run.build.pages import log_ends
from dag.run.build.runs import read_status
from dag.run.build.storedruns import FoundRun, StoredRuns

_LOG = Limit("a log that an agent tells", 64 << 20)
"""It is packed on the agent's own log, of which a node keeps 10 MiB."""
_MOST = 4 << 20
"""Bytes of packed journals after which no more are listed, for the same reason."""


def list_runs(location: str, archs: Sequence[Arch], scratch: Path, query: RunQuery) -> None:
    """Write what a store keeps of runs to the standard output: journals, and logs that are asked for.

    Without `archs` it is that of all architectures.
    """
    runs = StoredRuns(open_agent_place(location, scratch), tuple(archs) or None)
    state = runs.place.state
    told = _Told(state)
    told.add_early_logs(runs, query)
    chosen = list(_chosen(runs, query))
    if query.run and not query.every:
        told.notes += [one.lack for one in chosen if one.lack]
    for number, found in enumerate(chosen):
        for store in found.stores:
            told.add_run(store.runs.of(found.id), query.unit)
            if query.page:
                told.add_page(store, found.id)
        if query.every and told.packed > _MOST and (left := len(chosen) - number - 1):
            words = f"the list ends here: {count(left, 'older run')} would make it too long"
            told.notes.append(words)
            break
    show(encode_listing(StoreListing(objects=told.objects, notes=told.notes)))


@dataclass(slots=True)
class _Told:
    """What is told of runs."""

    state: Objects
    notes: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    packed: int = 0
    """The bytes that the journals, and the logs of a page, take on the agent's own log."""

    def add_run(self, run: Run, unit: str = "") -> None:
        """Tell the journal of a run, and the log of a unit."""
        self._add(run.names.journal, RUN_FILES)
        self._count(self.objects.get(run.names.journal, b""))
        if unit:
            self._add(run.names.log(unit), _LOG)

    def add_early_logs(self, runs: StoredRuns, query: RunQuery) -> None:
        """Tell the logs of a unit of the newest run, if that has no journal, which comes when it ends."""
        each = map(runs.store, runs.archs or map(Arch.parse, ARCHITECTURES)) if query.unit else ()
        for store in each:
            if (run := store.runs.early(query.run)) is not None:
                self._add(run.names.log(query.unit), _LOG)

    def add_page(self, store: Store, run_id: str) -> None:
        """Tell what a page about a run needs besides: see `RunQuery.page`."""
        before = next((one for one in store.runs.all() if one.id < run_id), None)
        if before is not None:
            self.add_run(before)
        try:
            result = read_status(store, run_id).result
        except UsageError:
            return  # who reads the journal is told what is wrong with it
        names = store.runs.of(run_id).names
        for unit, end in log_ends(store, run_id, result).items():
            if self.packed > _MOST:
                self.notes.append(
                    "some logs of what failed are not in the page: it would be too long"
                )
                return
            self.objects[names.log(unit)] = end.encode()
            self._count(end.encode())

    def _count(self, data: bytes) -> None:
        self.packed += len(zlib.compress(data))

    def _add(self, name: str, limit: Limit) -> None:
        try:
            one = self.state.read(name, limit)
        except TooLarge as error:
            self.objects[name] = f"dag: {error.message}\n".encode()
            return
        if one is not None:
            self.objects[name] = one.data


def _chosen(runs: StoredRuns, query: RunQuery) -> Iterator[FoundRun]:
    every = runs.every(query.run)
    if query.run or query.every:
        yield from every
        return
    latest = next(every, None)
    if latest is None:
        return
    yield latest
    if query.unit and not _has_log(latest, query.unit):
        # The latest one tells why it has no log, if another one has it.
        logged = (one for one in every if _has_log(one, query.unit))
        yield from islice(logged, 1)


def _has_log(found: FoundRun, unit: str) -> bool:
    return any(store.runs.of(found.id).has_log(unit) for store in found.stores)
