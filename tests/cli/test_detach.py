"""`dag build --detach` tells by what a run is driven, and what publishes what is finished."""

from __future__ import annotations

import msgspec
import pytest

from dag.cli.build import tell_detached
from dag.core.jobs.options import UnitBuildOptions
from dag.run.jobs.detach import Detached

OPTIONS = UnitBuildOptions(
    on="kubernetes", store="pvc://packages", detach=True, directory="d", json=True
)


@pytest.mark.parametrize("code", [0, 1])
def test_what_publishes_is_told_where_nothing_is_driven(
    capsys: pytest.CaptureFixture[str], code: int
) -> None:
    tell_detached(OPTIONS, None, code)
    said = capsys.readouterr()
    assert "`dag publish --dir=d --store=pvc://packages` publishes" in said.err
    document = msgspec.json.decode(said.out)
    assert (document["exit_code"], document["run"], document["job"]) == (code, "", "")


def test_a_run_is_told_with_its_job(capsys: pytest.CaptureFixture[str]) -> None:
    tell_detached(OPTIONS, Detached("r1", "dag-driver-r1", is_new=False), 0)
    said = capsys.readouterr()
    assert "run r1 is driven in the cluster already, by job dag-driver-r1" in said.err
    document = msgspec.json.decode(said.out)
    assert (document["run"], document["job"]) == ("r1", "dag-driver-r1")
