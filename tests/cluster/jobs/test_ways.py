"""Jobs with all privileges, with the cache of sources, and without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.layout import lay_out
from examples.sources import ADDRESS, SourceServer
from tests.support.cluster.caches import push_cache
from tests.support.cluster.jobs import Jobs

pytestmark = [pytest.mark.cluster, pytest.mark.torture(only=True)]


@pytest.mark.parametrize("isolation", ["privileged", "userns"])
def test_hermetic_units_build_from_the_cache_bundle_alone(
    jobs: Jobs, tmp_path: Path, isolation: str
) -> None:
    with SourceServer(host=ADDRESS, port=0) as server:
        jobs.directory = lay_out(tmp_path / "sources", source_url=server.url)
        cache = push_cache(jobs.dag, jobs.directory, server)
        words = ["--hermetic", f"--isolation={isolation}", "words"]
        done = jobs.build(f"--cache-bundle={cache}", *words)
        assert done.returncode == 0, done.stderr
        assert (jobs.store / "x86_64/words-20230125-r0.apk").exists()
        without = jobs.build(*words, "--rebuild=words")
        assert without.returncode == 1, without.stderr
        assert f"--hermetic: fetch wants {server.url}/files/words-" in without.stderr
        assert dict(server.requests) == {}
