"""The runs of a store for all architectures, or for those that somebody asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from dag.core.arch import ARCHITECTURES, Arch
from dag.core.store.layout import RUNS, is_run_id
from dag.errors import UsageError
from dag.io.store.local import Store
from dag.io.store.places import StorePlace
from dag.run.build.runs import NoSuchRun, RunStatus, read_status


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run, with the store of each architecture that it was for."""

    id: str
    """Its id; empty for the only run that earlier versions kept."""
    stores: tuple[Store, ...]
    """One at least, in the order of their architectures' names."""
    without: tuple[str, ...] = ()
    """The architectures for which it keeps no journal, although it was for them or they were asked for."""

    @property
    def lack(self) -> str:
        """Return words about the architectures of which nothing can be told; empty if there are none."""
        if not self.without:
            return ""
        return (
            f"the run {self.id} keeps no journal for {' and '.join(self.without)}, so nothing of it is told "
            "or published there: it was not for that, has not ended for it, or its journal could not be "
            "kept. `dag publish` in the directory of the definitions publishes what is finished of them"
        )


@dataclass(frozen=True, slots=True)
class StoredRuns:
    """The runs of a store."""

    place: StorePlace
    archs: tuple[Arch, ...] | None = None
    """The architectures that are asked for; None for all."""
    name: str = ""
    """What people call the store, if this is a copy of it."""

    def store(self, arch: Arch) -> Store:
        """Return the store of one architecture."""
        store = self.place.store(arch)
        store.name = self.name or store.name
        return store

    def find(self, words: str = "") -> FoundRun:
        """Return the latest run, or the one whose id begins so.

        Raises:
            NoSuchRun: there is none, or more than one begins so.

        """
        runs = self.every(words)
        first = next(runs, None)
        if first is None:
            return FoundRun("", (self._any_store(words),))
        if words and (more := [one.id for one in runs]):
            raise NoSuchRun(
                f"{self._shown}: {len(more) + 1} runs begin with {words}",
                hint="`dag status --all` lists the runs",
            )
        return first

    def find_log(self, unit: str, words: str = "") -> FoundRun:
        """Return the run that has the log of a unit, with the store of its architecture alone.

        That is the latest one, if that builds the unit or has built it, else an earlier one; if no run
        has a log of it, the latest one all the same.

        Raises:
            NoSuchRun: there is no run, or more than one begins so.
            UsageError: the run has logs of the unit for several architectures.

        """
        found = self._early_log(unit, words) or self.find(words)
        latest = found
        if found.id:
            built = tuple(one for one in found.stores if _builds(one, found.id, unit))
            earlier = iter(()) if built or words else self.every()
            while not built and (run := next(earlier, None)) is not None:
                found = run
                built = tuple(one for one in run.stores if one.runs.of(run.id).has_log(unit))
            if not built:
                return FoundRun(latest.id, latest.stores[:1])
            found = FoundRun(found.id, built)
        if len(found.stores) > 1:
            names = " and ".join(str(one.arch) for one in found.stores)
            raise UsageError(
                f"the run {found.id} has a log of {unit} for {names}", hint="name one with --arch"
            )
        return found

    def has_log(self, unit: str, run: str) -> bool:
        """Return whether the run with this id has a log of a unit."""
        return any(self.store(arch).runs.of(run).has_log(unit) for arch in self._asked())

    def _early_log(self, unit: str, words: str) -> FoundRun | None:
        """Return the newest run that has no journal yet, if it has a log of a unit."""
        each = {store: store.runs.early(words) for store in map(self.store, self._asked())}
        logged = {
            store: run for store, run in each.items() if run is not None and run.has_log(unit)
        }
        return FoundRun(next(iter(logged.values())).id, tuple(logged)) if logged else None

    def statuses(self) -> Iterator[RunStatus | UsageError]:
        """Yield how each run stands or ended, the latest first; an error for one that is damaged.

        Raises:
            NoSuchRun: there was none.

        """
        first = self.find()
        for found in chain([first], islice(self.every(), 1, None)):
            for store in found.stores:
                try:
                    yield read_status(store, found.id)
                except UsageError as error:
                    yield error

    def every(self, words: str = "") -> Iterator[FoundRun]:
        """Yield all runs whose ids begin so, the latest first."""
        state = self.place.state
        for name in sorted(filter(is_run_id, state.folders(RUNS)), reverse=True):
            if name.startswith(words):
                there = set(state.folders(f"{RUNS}/{name}"))
                stores = (self.store(arch) for arch in self._asked() if arch.apk in there)
                found = tuple(one for one in stores if _has_journal(one, name))
                wanted = there if self.archs is None else {one.apk for one in self.archs}
                if found:
                    without = wanted - {one.arch.apk for one in found}
                    yield FoundRun(name, found, tuple(sorted(without.intersection(ARCHITECTURES))))

    def _asked(self) -> Iterable[Arch]:
        return sorted(self.archs or map(Arch.parse, ARCHITECTURES), key=str)

    def _any_store(self, words: str) -> Store:
        """Return a store that has runs, if not the wanted one; or the only one that earlier versions kept."""
        for store in map(self.store, self._asked()):
            if next(store.runs.all(), None) is not None:
                return store
        wanted = f" for {' or '.join(map(str, self.archs))}" if self.archs else ""
        if words:  # a copy has no other runs than those that begin so
            raise NoSuchRun(
                f"{self._shown}: there was no run {words}{wanted}",
                hint="`dag status --all` lists the runs",
            )
        raise NoSuchRun(
            f"{self._shown}: nothing was built here{wanted}", hint="--store names another store"
        )

    @property
    def _shown(self) -> str:
        return self.name or self.place.name


def _has_journal(store: Store, run: str) -> bool:
    return store.objects.look(store.runs.of(run).names.journal) is not None


def _builds(store: Store, run: str, unit: str) -> bool:
    """Return whether a run builds a unit, or has built it."""
    if store.runs.of(run).has_log(unit):
        return True
    try:
        return any(one.name == unit for one in read_status(store, run).result.units)
    except UsageError:  # a journal that is damaged tells nothing
        return False
