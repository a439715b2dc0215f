"""Brings what a store on the cluster publishes to the directory of `--out`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dag.core.store.records import Record
from dag.errors import InfrastructureError
from dag.io.kube.api import Kube
from dag.report.terminal import Terminal
from dag.report.words import count, some
from dag.run.jobs.attempt import JobFollower
from dag.run.pod.out import Target, copy_files, end_serving, list_files


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is brought from a store's agent, and where to."""

    directory: Path
    arch: str
    """As apk names it."""
    records: Iterable[Record]
    """What has to be published there: it is held against what the agent serves."""
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
        try:
            listing = await list_files(kube, path, run, self.arch)
            given = {name: file.digest for name, file in listing.files.items()}
            self._require(given)
            await copy_files(kube, path, run, Target(self.directory, self.arch), listing.files)
        finally:
            await end_serving(kube, path, run)
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
