"""A step in a real pod changes its own package, and nothing else, with privilege and without."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples.bootstrap import bootstrap
from examples.layout import lay_out
from tests.support.builds import definition

if TYPE_CHECKING:
    from tests.support.cluster.running import Dag

pytestmark = pytest.mark.cluster

TRIES = (Path(__file__).parents[2] / "run/build/tries_everything.sh").read_text()
PLANTS = "echo planted >/var/cache/melange/planted; echo PLANTED=1 >/var/cache/melange/melange.env"
FINDS = 'test -z "$PLANTED"; test ! -e /var/cache/melange/planted'

GIVES = """cd "${{targets.destdir}}"
mkdir -p usr/bin var/lib/owned/closed
echo x >var/lib/owned/closed/file
echo x >usr/bin/owned
chown 12:34 usr/bin/owned var/lib/owned/closed/file var/lib/owned/closed var/lib/owned
chmod 0750 usr/bin/owned
chmod 0400 var/lib/owned/closed/file
chmod 0500 var/lib/owned/closed
chmod 0700 var/lib/owned
cd /var/cache/melange
mkdir gives gives/closed
echo x >gives/file
chown 13:13 gives/file gives/closed
chown 12:34 gives
chmod 1777 gives
chmod 0 gives/closed"""
"""It gives files to others, also in directories that these alone may change, and leaves some behind."""


@pytest.mark.parametrize("flags", [[], ["--trust-steps"]])
def test_a_step_gives_files_to_others_without_privilege_and_the_build_goes_on(
    dag: Dag, tmp_path: Path, flags: list[str]
) -> None:
    directory = lay_out(tmp_path / "d")
    texts = {"gives": definition("gives", runs=GIVES), "needs": definition("needs", "gives")}
    for name, text in texts.items():
        (directory / f"{name}.yaml").write_text(text)
    out = tmp_path / "out"
    done = dag.pod(directory, "--only", "--isolation=userns", "--out", out, *flags, *texts)
    assert done.returncode == 0, done.stderr
    assert "cannot remove" not in done.stdout
    found = owners(out / "x86_64/gives-1-r0.apk")
    assert found["usr/bin/owned"] == (12, 34, 0o750)
    assert found["var/lib/owned/closed/file"] == (12, 34, 0o400)


def owners(apk: Path) -> dict[str, tuple[int, int, int]]:
    """Return the user, the group and the mode of each file of a package."""
    with tarfile.open(
        fileobj=io.BytesIO(gzip.decompress(apk.read_bytes())), ignore_zeros=True
    ) as tar:
        return {one.name: (one.uid, one.gid, one.mode) for one in tar}


@pytest.mark.parametrize(
    ("isolation", "flags"),
    [
        ("privileged", []),
        ("privileged", ["--hermetic"]),
        ("userns", []),
        ("userns", ["--hermetic"]),
    ],
)
def test_a_step_that_tries_everything_changes_nothing_outside(
    dag: Dag, tmp_path: Path, isolation: str, flags: list[str]
) -> None:
    bootstrap()
    directory = lay_out(tmp_path / "d")
    head = "OUTSIDE=/workspace\nSOCKET='none of that name'\n"
    texts = {
        "plants": definition("plants", runs=PLANTS),
        "finds": definition("finds", "plants", runs=FINDS),
        "tries": definition("tries", "finds", runs=head + TRIES),
    }
    for name, text in texts.items():
        (directory / f"{name}.yaml").write_text(text)
    done = dag.pod(directory, "--only", "--isolation", isolation, *flags, *texts)
    assert [line for line in done.stdout.splitlines() if "COULD" in line] == []
    assert "tried everything" in done.stdout, done.stdout
