"""The cache bundle on the real Kubernetes: builds that do not ask the source server, or cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
import yaml

from examples.bootstrap import bootstrap
from examples.layout import lay_out
from examples.sources import ADDRESS, SourceServer
from tests.support.cluster.caches import push_cache

if TYPE_CHECKING:
    from tests.support.cluster.running import Dag

pytestmark = pytest.mark.cluster

Kind = Literal["2023", "2026"]

PHONE = """\
package: {{name: phone, version: 1, epoch: 0, description: Asks the source server}}
environment: {{contents: {{packages: [busybox, wget]}}}}
pipeline:
  - runs: wget -q -O /dev/null {url}/files/words-2023-01-25.txt
"""


@pytest.fixture
def server() -> Iterator[SourceServer]:
    bootstrap()
    with SourceServer(host=ADDRESS, port=0) as server:
        yield server


@pytest.mark.parametrize("kind", ["2023", "2026"])
def test_with_the_cache_bundle_a_build_asks_the_source_server_for_nothing(
    dag: Dag, tmp_path: Path, server: SourceServer, kind: Kind
) -> None:
    directory = lay_out(tmp_path / "d", kind=kind, source_url=server.url)
    reference = push_cache(dag, directory, server)
    flags = ["--ram=256Mi", "--cache-bundle", reference]
    done = dag.pod(directory, *flags, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert dict(server.requests) == {}
    assert (tmp_path / "out/x86_64/everything-1-r0.apk").exists()
    printed = dag.pod(directory, "--create=false", "--cache-bundle", reference)
    populate = yaml.safe_load(printed.stdout)["spec"]["initContainers"][1]
    assert (populate["name"], populate["image"]) == ("populate-cache", reference)


@pytest.mark.parametrize(("kind", "isolation"), [("2023", "privileged"), ("2026", "userns")])
def test_hermetic_builds_from_the_cache_bundle(
    dag: Dag, tmp_path: Path, server: SourceServer, kind: Kind, isolation: str
) -> None:
    directory = lay_out(tmp_path / "d", kind=kind, source_url=server.url)
    flags = ["--hermetic", "--ram=256Mi", "--isolation", isolation]
    flags += ["--cache-bundle", push_cache(dag, directory, server)]
    done = dag.pod(directory, *flags, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/x86_64/everything-1-r0.apk").exists()


@pytest.mark.parametrize("isolation", ["privileged", "userns"])
def test_hermetic_without_the_bundle_says_which_step_wanted_what(
    dag: Dag, tmp_path: Path, server: SourceServer, isolation: str
) -> None:
    directory = lay_out(tmp_path / "d", source_url=server.url)
    done = dag.pod(directory, "--hermetic", "--isolation", isolation, "words")
    assert done.returncode == 1
    wanted = f"dag: --hermetic: fetch wants {server.url}/files/words-2023-01-25.txt (sha512:"
    # They are in the log, and among the lines that the command ends with.
    assert wanted in done.stdout
    assert wanted in done.stderr
    assert dict(server.requests) == {}


@pytest.mark.parametrize("isolation", ["privileged", "userns"])
def test_a_step_that_phones_home_gets_through_unless_hermetic(
    dag: Dag, tmp_path: Path, server: SourceServer, isolation: str
) -> None:
    directory = lay_out(tmp_path / "d", source_url=server.url)
    (directory / "phone.yaml").write_text(PHONE.format(url=server.url))
    flags = ["--only", "--isolation", isolation, "phone"]
    assert dag.pod(directory, *flags).returncode == 0
    assert server.requests.total() == 1
    done = dag.pod(directory, "--hermetic", *flags)
    assert done.returncode == 1
    assert server.requests.total() == 1
    assert "dag: --hermetic: a step failed that had no network (exit code" in done.stdout
