"""Unmodified definitions of 2023 are built as Jobs on both nodes, as this machine builds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.comparing import find_differences, read_facts
from tests.real.jobs import build_as_jobs
from tests.real.quick import QuickBuild, build_quick
from tests.real.sets import NOT_REPRODUCIBLE
from tests.support.cluster.running import Dag

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> QuickBuild:
    """Return the build on this machine: before the test has its turn on the cluster."""
    return build_quick(tmp_path_factory)


@pytest.mark.timeout(1200)  # the first time Debian's compiler is fetched and converted
def test_real_definitions_are_built_as_jobs_as_on_this_machine(
    here: QuickBuild, dag: Dag, tmp_path: Path
) -> None:
    packages = build_as_jobs(dag, here.distribution, tmp_path)
    built = read_facts(here.packages)
    assert {one.origin for one in built.values()} == {*here.distribution.names}
    assert find_differences(built, read_facts(packages), NOT_REPRODUCIBLE) == []
