"""Real melange builds the example distribution in a pod."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from examples.bootstrap import bootstrap
from examples.layout import lay_out
from examples.sources import ADDRESS, SourceServer
from tests.support.cluster.running import Dag

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("kind", ["2023", "2026"])
def test_real_melange_builds_the_example_with_both_kinds_of_makefile(
    dag: Dag, tmp_path: Path, kind: Literal["2023", "2026"]
) -> None:
    bootstrap()
    out = tmp_path / "out"
    with SourceServer(host=ADDRESS, port=0) as server:
        directory = lay_out(tmp_path / "d", kind=kind, source_url=server.url)
        done = dag.pod(directory, "--ram=256Mi", "--out", out)
    assert done.returncode == 0, done.stderr
    assert (out / "x86_64/everything-1-r0.apk").exists()
    assert (out / "x86_64/APKINDEX.tar.gz").exists()


def test_a_directory_without_a_makefile_builds_by_rules_of_dags_own(
    dag: Dag, tmp_path: Path
) -> None:
    directory, out = lay_out(tmp_path / "d"), tmp_path / "out"
    (directory / "Makefile").unlink()
    done = dag.pod(directory, "--ram=256Mi", "--timeout=2m", "--out", out, "baselayout")
    assert done.returncode == 0, done.stderr
    assert (out / "x86_64/baselayout-1-r0.apk").exists()


def test_a_makefile_without_source_dir_builds_too(dag: Dag, tmp_path: Path) -> None:
    directory, out = lay_out(tmp_path / "d"), tmp_path / "out"
    makefile = (directory / "Makefile").read_text()
    assert " --source-dir ./$(name)/" in makefile
    (directory / "Makefile").write_text(makefile.replace(" --source-dir ./$(name)/", ""))
    done = dag.pod(directory, "--ram=256Mi", "--timeout=2m", "--out", out, "baselayout")
    assert done.returncode == 0, done.stderr
    assert (out / "x86_64/baselayout-1-r0.apk").exists()
