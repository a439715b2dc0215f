"""A store in a bucket of each kind: agents reach it, and neither builds nor the client do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from examples.bootstrap import bootstrap
from examples.layout import lay_out
from tests.support.buckets import Store, azure, gcs, s3
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import Dag
from tests.support.identities import audiences_of

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("kind", [gcs, s3, azure])
def test_a_bucket_has_the_store_and_what_is_there_is_not_built_again(
    dag: Dag, kind: Callable[[], AbstractContextManager[Store]], tmp_path: Path
) -> None:
    bootstrap()
    with kind() as bucket:
        dag.apply("Secret", "bucket", stringData=dict(bucket.secret))
        permitted = dag("setup", "cluster", "--user=limited")
        assert permitted.returncode == 0, permitted.stderr
        jobs = Jobs(dag, tmp_path, lay_out(tmp_path / "d"), f"{bucket.bucket}/dist")
        jobs.define(one="sleep 15")
        running = jobs.start("--bucket-secret=bucket")
        seen = jobs.look_into(jobs.await_build(), "env")
        first = running.end(400)
        assert first.returncode == 0, first.stderr
        files = bucket.files("dist")
        assert "x86_64/one-1-r0.apk" in files
        assert "x86_64/APKINDEX.tar.gz" in files
        assert any(name.endswith("one.log") for name in files)
        assert any(name.endswith("journal.jsonl") for name in files)
        again = jobs.build("--bucket-secret=bucket", f"--out={tmp_path / 'out'}")
    assert again.returncode == 0, again.stderr
    assert "0 packages to build for x86_64" in again.stderr
    brought = {path.name for path in (tmp_path / "out").rglob("[!.]*") if path.is_file()}
    assert brought == {"one-1-r0.apk", "APKINDEX.tar.gz", "melange.rsa.pub"}
    said = seen + first.stdout + first.stderr + dag.kubectl("get", "pods,jobs", "-o", "yaml")
    assert "PATH=" in seen
    assert "a-secret-that-nothing-may-show" not in said


def test_only_agents_have_the_token_of_a_service_account_that_is_somebody_in_the_cloud(
    dag: Dag, tmp_path: Path
) -> None:
    bootstrap()
    role = "arn:aws:iam::123456789012:role/dag"
    # The Secret has a key, so that no role is taken: there is no Amazon here.
    with s3() as bucket:
        dag.apply("Secret", "bucket", stringData=dict(bucket.secret))
        annotation = f"--annotation=eks.amazonaws.com/role-arn={role}"
        permitted = dag("setup", "cluster", "--user=limited", annotation)
        assert permitted.returncode == 0, permitted.stderr
        jobs = Jobs(dag, tmp_path, lay_out(tmp_path / "d"), f"{bucket.bucket}/dist")
        jobs.define(one="sleep 15")
        running = jobs.start("--bucket-secret=bucket")
        pod = jobs.await_build()
        name = pod["metadata"]["name"]
        agent = ("exec", name, "-c", "collect", "--", "python3", "-c")
        token = dag.kubectl(*agent, "print(open('/dag-identity/token').read())").strip()
        variables = dag.kubectl(*agent, "import os; print(os.environ['AWS_ROLE_ARN'])").strip()
        seen = jobs.look_into(pod, "env; ls -d /dag-identity /var/run/secrets 2>&1 || true")
        done = running.end(400)
    assert done.returncode == 0, done.stderr
    assert audiences_of(token) == ["sts.amazonaws.com"]
    assert variables == role
    assert "PATH=" in seen
    assert "AWS_" not in seen
    assert "/dag-identity\n" not in seen
    assert "No such file or directory" in seen
    said = done.stdout + done.stderr + dag.kubectl("get", "pods,jobs", "-o", "yaml")
    assert token not in said
