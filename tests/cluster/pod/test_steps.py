"""A step in a real pod changes its own package, and nothing else, with privilege and without."""

from __future__ import annotations

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
