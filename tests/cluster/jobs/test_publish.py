"""What was proven as Jobs is published later, by whoever has the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builds import new_key
from tests.support.cluster.jobs import Jobs
from tests.support.schema import checked

pytestmark = pytest.mark.cluster


def test_a_claim_is_published_after_a_build_without_a_key(jobs: Jobs, tmp_path: Path) -> None:
    jobs.define(one="true")
    built = jobs.build("--publish=false", "--json")
    assert built.returncode == 0, built.stderr
    assert f"`dag publish --dir={jobs.directory} --store=pvc://" in built.stderr
    assert list(jobs.store.glob("x86_64/*")) == []
    assert not (jobs.store / ".dag/key").exists()
    run = checked(built.stdout, "result")["run"]

    key = new_key(tmp_path)
    signed = jobs.publish(f"--run={run}", f"--signing-key={key}", "--json")
    assert signed.returncode == 0, signed.stderr
    (arch,) = checked(signed.stdout, "published")["archs"]
    assert [one["name"] for one in arch["published"]] == ["one"]
    assert {path.name for path in jobs.store.glob("x86_64/*")} == {
        "one-1-r0.apk",
        "APKINDEX.tar.gz",
    }
    assert (jobs.store / ".dag/key/my.rsa.pub").read_bytes() == Path(f"{key}.pub").read_bytes()

    again = jobs.publish(f"--dir={jobs.directory}", f"--signing-key={key}")
    assert again.returncode == 0, again.stderr
    assert again.stdout == "0 packages published, 1 already\n"
