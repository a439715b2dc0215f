"""Brings what a store on the cluster publishes to the directory of `--out`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dag.core.store.records import Record
from dag.errors import DagError, InfrastructureError
from dag.io.kube.api import ApiError, Kube
from dag.io.retries import RetryPolicy, retry_async
from dag.report.terminal import Terminal
from dag.report.words import count, some
from dag.run.jobs.attempt import JobFollower
from dag.run.pod.out import OutTarget, copy_files, end_serving, list_files

_END = RetryPolicy(attempts=6, first=0.5)


def records_there(
    before: Mapping[tuple[str, str], Record], published: Iterable[Record]
) -> list[Record]:
    """Return what a store publishes that had these records, after others were published.

    A record that has one of the new files counts no more: the store publishes the new file.
    """
    new = {(one.name, one.version): one for one in published}
    files = {file for one in new.values() for file in one.files}
    old = [one for unit, one in before.items() if unit not in new and files.isdisjoint(one.files)]
    return [*old, *new.values()]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is brought from a store's agent, and where to."""

    directory: Path
    arch: str
    """As apk names it."""
    records: Sequence[Record]
    """What has to be published there: it is held against what each agent serves."""
    terminal: Terminal

    async def bring(self, kube: Kube, follower: JobFollower, run: str) -> None:
        """Copy what the agent serves as soon as it does, and let it end.

        Raises:
            InfrastructureError: the agent cannot be reached, serves something else than what the records
                say, or a file cannot be written.
            BuildError: the agent names files that no store publishes.

        """
        await follower.started.wait()
        about = follower.pod["metadata"]
        path = f"/api/v1/namespaces/{about['namespace']}/pods/{about['name']}"
        listing = await list_files(kube, path, run, self.arch)
        given = {name: file.digest for name, file in listing.files.items()}
        self._require(given)
        await copy_files(kube, path, run, OutTarget(self.directory, self.arch), listing.files)
        with suppress(DagError):  # everything is here, and the agent ends by itself, later
            await retry_async(
                lambda: end_serving(kube, path, run),
                _END,
                heals=lambda error: isinstance(error, ApiError),
            )
        packages = sum(name.endswith(".apk") for name in given)
        self.terminal.say(f"{count(packages, 'package')} brought to {self.directory}")

    def _require(self, given: dict[str, str]) -> None:
        wrong = [
            file
            for record in self.records
            for file, apk in record.files.items()
            if given.get(f"packages/{self.arch}/{file}") != apk.sha256
        ]
        if wrong:
            raise InfrastructureError(
                f"the store publishes something else than this run has proven: {some(sorted(wrong))}",
                hint="does somebody else build there? Run this again, and verify with `dag store verify`",
            )
