"""What `dag publish` says of a store in a cluster is what that has, and not what an answer has room for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dag.core.build.options import BuildOptions
from dag.core.jobs.listing import PublishAnswer
from dag.core.jobs.publishing import PublishOptions
from dag.report.terminal import Terminal
from dag.run.build.start import plan_build
from dag.run.jobs.publish import _publish
from tests.support.keys import make_key
from tests.support.kubeconfigs import kubeconfig
from tests.support.orders import SETTINGS
from tests.support.standins.agentserver import agents_served, listing
from tests.support.standins.jobserver import Course

NAMES = [f"p{n}" for n in range(4)]
RULE = "package/%:\n\tmelange build ${MELANGE_EXTRA_OPTS}\n"
WHY = "no request has attested it"


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_was_refused_and_not_told_is_not_called_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, dry_run: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    directory = tmp_path / "definitions"
    directory.mkdir()
    (directory / "Makefile").write_text(RULE)
    for name in NAMES:
        text = f"package: {{name: {name}, version: 1, epoch: 0}}\npipeline: []\n"
        (directory / f"{name}.yaml").write_text(text)
    prints = plan_build(BuildOptions(directory=str(directory)), print).basis.fingerprints
    answer = PublishAnswer(published=1, refused={"p0": WHY})
    with agents_served() as cluster:
        cluster.answers = {
            "list-store": [listing(prints), listing(prints, published=["p3"])],
            "publish": [Course(words=msgspec.json.encode(answer).decode())],
        }
        options = PublishOptions(
            on="kubernetes",
            store="pvc://packages",
            namespace="n",
            directory=str(directory),
            kubeconfig=str(kubeconfig(tmp_path / "config", cluster.url)),
            signing_key=str(make_key(tmp_path / "my.rsa")),
            dry_run=dry_run,
        )
        found = _publish(options, SETTINGS.arch, "dag@sha256:1", Terminal(), None)
    assert [one.name for one in found.published] == (NAMES if dry_run else ["p3"])
    assert {one.name: one.why.partition(";")[0] for one in found.refused} == (
        {}
        if dry_run
        else {
            "p0": WHY,
            "p1": "the answer had no room for the reason",
            "p2": "the answer had no room for the reason",
        }
    )
    assert found.exit_code(wants_all=False) == (0 if dry_run else 3)
    assert cluster.lease.exists is not dry_run
    assert len(cluster.words("publish")) == (not dry_run)
    assert len(cluster.deleted) == len(cluster.asked)  # no agent is left
