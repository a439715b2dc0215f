"""Real melange builds the example from the cache alone, with both kinds of Makefile."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from examples.layout import Kind, lay_out
from examples.sources import SourceServer
from tests.examples.test_distribution import BOOTSTRAP, built, make

if TYPE_CHECKING:
    from pathlib import Path

DAG_CACHE = (sys.executable, "-m", "dag", "cache")
TARGETS = ("baselayout", "shtools", "words", "template", "theme")
"""In an order that builds: both kinds of source, a tag, a branch, a patch."""


@pytest.mark.parametrize("kind", ["2023", "2026"])
def test_with_the_cache_a_build_asks_the_source_server_for_nothing(
    tmp_path: Path, kind: Kind
) -> None:
    with SourceServer() as server:
        directory = lay_out(tmp_path / "d", kind=kind, source_url=server.url)
        cached = subprocess.run(
            [*DAG_CACHE, "-d", str(directory), "-o", str(directory / "cache")],
            env={n: v for n, v in os.environ.items() if not n.startswith("DAG_")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert cached.returncode == 0, cached.stderr
        assert server.requests.total() > 0
        server.requests.clear()
        options = f"--cache-dir {directory}/cache --env-file {directory}/cache/melange.env"
        targets = [f"package/{name}" for name in TARGETS] if kind == "2026" else ["all"]
        code, said = make(directory, f"MELANGE_EXTRA_OPTS={options} {BOOTSTRAP}", *targets)
        assert code == 0, said
        assert dict(server.requests) == {}
    assert "theme-1.4.2-r3.apk" in built(directory)
    assert "cloned from file:///var/cache/melange/git/127.0.0.1" in said
    assert "found /var/cache/melange/sha" in said
