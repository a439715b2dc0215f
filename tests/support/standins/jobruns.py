"""A run of Jobs that build nothing: its units, its orders, what its agents answer, and its cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from dag.core.build.events import Start
from dag.core.jobs.answers import answer_for, encode_answer
from dag.core.store.records import Built, Record
from tests.support.apks import told
from tests.support.kubeconfigs import kubeconfig
from tests.support.orders import digest, order

ROOT = Path(__file__).parents[3]


def answer(name: str, version: str, packages: Sequence[str]) -> tuple[str, list[str]]:
    """Return what the agent of a unit says in the end, and what it writes on its log."""
    built = tuple(Built(apk=told(one, version, sha256=digest(len(one)).hex())) for one in packages)
    record = Record(
        name=name, version=version, key="1" * 64, fingerprint="2" * 64, seconds=1, built=built
    )
    said, lines = answer_for(record, results=1, built=True)
    return encode_answer(said).decode(), lines


class GeneratedUnits:
    """In the place of the resolver, where there are no definitions."""

    def resolve(self, key: str) -> Any:  # as much of a unit as is asked for
        """Return as much of a unit as the runner asks for."""
        return SimpleNamespace(package=SimpleNamespace(name=key), lacking={})

    def same(self, _unit: object) -> None:
        """Find nothing."""

    def finish(self, _record: Record) -> None:
        """Keep nothing: no environment has it."""


class GeneratedOrders:
    """In the place of what makes orders: each has a hundred packages in its environment."""

    def __init__(self) -> None:
        self._order = order(given=100)

    def of(self, _unit: object, start: Start) -> Any:  # an order
        """Return the order of an attempt."""
        package = msgspec.structs.replace(self._order.package, name=start.key)
        return msgspec.structs.replace(self._order, package=package, attempt=start.attempt)


@contextmanager
def serving(place: Path, plan: dict[str, tuple[float, str, list[str]]]) -> Iterator[str]:
    """Run the stand-in for a cluster, and return a kubeconfig for it."""
    file = place / "plan.json"
    file.write_text(json.dumps(plan))
    command = [sys.executable, "-m", "tests.support.standins.jobserver", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            yield kubeconfig(place / "kubeconfig", f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
