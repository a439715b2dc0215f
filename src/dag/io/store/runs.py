"""The runs of a store: of each one its journal, its result and its logs stay."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dag.core.store.layout import RUNS, RunNames, is_run_id, make_run_id
from dag.io import durable


@dataclass(frozen=True, slots=True)
class Run:
    """What is kept of one run for one architecture."""

    state: Path
    """The directory of what the store keeps for itself."""
    names: RunNames
    journal: Path

    @property
    def id(self) -> str:
        """Return the run's id."""
        return self.names.run

    @property
    def result(self) -> Path:
        """Return the path of its result, which is not there before the run has ended."""
        return self.state / self.names.result

    def keep_result(self, data: bytes) -> None:
        """Write the result as JSON."""
        durable.write(self.result, data)

    def log(self, unit: str) -> Path:
        """Return the path of a unit's log."""
        return self.state / self.names.log(unit)


class Runs:
    """The runs of one architecture."""

    def __init__(self, state: Path, arch: str, links: Path) -> None:
        """Take the directory of what the store keeps for itself, and that of links to logs."""
        self._state = state
        self._arch = arch
        self._links = links
        self._old = state / f"journal-{arch}.jsonl"
        """The journal of the only run that earlier versions kept."""

    def begin(self) -> Run:
        """Make the place of a run that begins now."""
        self._keep_old()
        run = self._run(make_run_id(time.time(), secrets.token_hex(2)[:3]))
        run.log("").parent.mkdir(parents=True)
        return run

    def log(self, run: Run, unit: str) -> Path:
        """Return the path of a unit's log in a run, to which a link now leads."""
        target, link = run.log(unit), self._links / f"{unit}.log"
        temporary = link.with_name(f"{durable.TEMPORARY}{secrets.token_hex(8)}")
        temporary.symlink_to(os.path.relpath(target, link.parent))
        temporary.replace(link)
        return target

    def all(self) -> Iterator[Run]:
        """Yield all runs, the latest first."""
        folders: list[Path] = []
        with suppress(FileNotFoundError):
            folders = sorted((self._state / RUNS).iterdir(), reverse=True)
        for name in filter(is_run_id, (folder.name for folder in folders)):
            run = self._run(name)
            if run.journal.exists():
                yield run
        if self._old.exists():
            yield Run(self._state, RunNames(self._old_id(), self._arch), self._old)

    def latest_log(self, unit: str) -> Path | None:
        """Return the path of the latest log of a unit; None if there is none."""
        logs = (run.log(unit) for run in self.all())
        old = self._state / "logs" / self._arch / f"{unit}.log"
        return next((log for log in (*logs, old) if log.is_file()), None)

    def _run(self, name: str) -> Run:
        names = RunNames(name, self._arch)
        return Run(self._state, names, self._state / names.journal)

    def _old_id(self) -> str:
        return make_run_id(self._old.stat().st_mtime, "000")

    def _keep_old(self) -> None:
        """Make a run of the journal that an earlier version wrote."""
        if self._old.exists():
            run = self._run(self._old_id())
            run.log("").parent.mkdir(parents=True, exist_ok=True)
            durable.rename(self._old, run.journal)
