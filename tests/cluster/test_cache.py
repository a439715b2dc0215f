"""The cache bundle on the real Kubernetes: a build that never asks the source server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
import yaml

from examples.bootstrap import bootstrap
from examples.layout import lay_out
from examples.sources import ADDRESS, SourceServer

if TYPE_CHECKING:
    from tests.cluster.running import Dag

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("kind", ["2023", "2026"])
def test_with_the_cache_bundle_a_build_asks_the_source_server_for_nothing(
    dag: Dag, tmp_path: Path, kind: Literal["2023", "2026"]
) -> None:
    bootstrap()
    with SourceServer(host=ADDRESS, port=0) as server:
        directory = lay_out(tmp_path / "d", kind=kind, source_url=server.url)
        repository = f"{dag.cluster.registry}/cache-{kind}"
        base = ["--bundle-base", dag.cluster.base_image, "--bundle-repo", repository]
        pushed = dag("cache", "-d", directory, "-o", tmp_path / "cache", *base)
        assert pushed.returncode == 0, pushed.stderr
        reference = pushed.stdout.strip()
        assert reference.startswith(f"{repository}@sha256:")
        asked = server.requests.total()
        server.requests.clear()
        assert asked > 0
        flags: list[str | Path] = [
            "--ram=256Mi",
            "--cache-bundle",
            reference,
            "--out",
            tmp_path / "out",
        ]
        done = dag.pod(directory, *flags)
        assert done.returncode == 0, done.stderr
        assert dict(server.requests) == {}
    assert (tmp_path / "out/x86_64/everything-1-r0.apk").exists()
    printed = dag.pod(directory, "--create=false", "--cache-bundle", reference)
    populate = yaml.safe_load(printed.stdout)["spec"]["initContainers"][1]
    assert (populate["name"], populate["image"]) == ("populate-cache", reference)
