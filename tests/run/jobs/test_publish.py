"""What `dag publish` says of a store in a cluster is what that has, and not what an answer has room for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dag.core.build.publishing import ProvenUnits
from dag.core.jobs.publishing import PublishOptions
from dag.core.store.records import Record
from dag.report.terminal import Terminal
from dag.run.jobs import publish as module
from tests.support.orders import SETTINGS

RECORDS = tuple(
    Record(name=f"p{n}", version="1-r0", key="0" * 64, fingerprint="", seconds=0, built=())
    for n in range(4)
)


class Cluster:
    """A build on a cluster whose signer publishes p3 alone, and whose agent tells of p0 alone."""

    def __init__(self, *_: object) -> None:
        self.build = None
        self._asked = False
        self._known = set[str]()
        self.store = SimpleNamespace(publishes=lambda one: one.name in self._known)

    async def acquire(self) -> None:
        pass

    async def look(self) -> None:
        pass

    def fill(self) -> None:
        self._known = {"p3"} if self._asked else set()

    def plan(self, _: object, *, sharing: int) -> None:
        assert sharing == 1
        self.fill()

    def find_key(self) -> None:
        pass

    async def publish(self, records: list[Record]) -> dict[str, str]:
        assert records == [*RECORDS]
        self._asked = True
        return {"p0": "no request has attested it"}

    def close(self) -> None:
        pass


def test_what_was_refused_and_not_told_is_not_called_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def identified(_: object, settings: Any) -> Any:
        return settings

    monkeypatch.setattr(module, "ClusterBuild", Cluster)
    monkeypatch.setattr(module, "_identified", identified)
    monkeypatch.setattr(module, "finished_in", lambda _: ProvenUnits(records=RECORDS))
    options = PublishOptions(store="pvc://packages", namespace="n", on="kubernetes")
    found = module._publish(options, SETTINGS.arch, "image", Terminal(), None)
    assert [one.name for one in found.published] == ["p3"]
    assert {one.name: one.why.partition(";")[0] for one in found.refused} == {
        "p0": "no request has attested it",
        "p1": "the answer had no room for the reason",
        "p2": "the answer had no room for the reason",
    }
    assert found.exit_code(wants_all=False) == 3
