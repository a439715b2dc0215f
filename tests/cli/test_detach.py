"""`dag build --detach` ends with 0 only if somebody drives the build, or all that was asked for is there."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dag.cli import build as module
from dag.core.build.plan import Absence
from dag.core.jobs.options import UnitBuildOptions

OPTIONS = UnitBuildOptions(
    on="kubernetes", store="pvc://packages", detach=True, directory="d", json=True
)
FOREIGN = SimpleNamespace(named=True, absence=Absence.OTHER_ARCH)


@pytest.mark.parametrize(
    ("lacks", "code"),
    [
        ({}, 0),
        ({"stuck": ("a cycle",)}, 1),
        ({"unbuildable": {"app": "it needs what is for another architecture"}}, 1),
        ({"skipped": (FOREIGN,)}, 1),
    ],
)
def test_what_cannot_be_built_is_no_success_although_nothing_is_driven(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lacks: dict[str, Any],
    code: int,
) -> None:
    plan = SimpleNamespace(**{"stuck": (), "unbuildable": {}, "skipped": (), **lacks})

    def detach_build(_: object, __: object, planned: Callable[[Any], None]) -> None:
        planned(SimpleNamespace(plan=plan))

    monkeypatch.setattr("dag.run.jobs.detach.detach_build", detach_build)
    monkeypatch.setattr(module, "tell_plan", lambda _: None)
    assert module._detach(OPTIONS) == code
    said = capsys.readouterr()
    assert "`dag publish --dir=d --store=pvc://packages` publishes" in said.err
    assert msgspec.json.decode(said.out)["exit_code"] == code
