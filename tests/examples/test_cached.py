"""Real melange builds the example from the cache alone, with both kinds of Makefile."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cluster import parts
from examples.layout import Kind, lay_out
from examples.sources import SourceServer
from tests.examples.test_distribution import BOOTSTRAP, built, make

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ("baselayout", "shtools", "words", "template", "theme")
"""The targets in a build order: both kinds of source, a tag, a branch, and a patch."""

CLONES = """\
package: {{name: clones, version: 1, epoch: 0, description: A repository and a file}}
environment: {{contents: {{packages: [busybox]}}}}
pipeline:
  - uses: git-checkout
    with:
      repository: {url}
      tag: v0.20
      expected-commit: {commit}
      max-retries: 0
"""


def dag(*words: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DAG_")}
    path = f"{parts.build('melange')}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "dag", *map(str, words)],
        env={**kept, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def cached(directory: Path, server: SourceServer) -> None:
    """Fill the cache beside the definitions, and forget the requests that the server got for that."""
    done = dag("cache", "-d", directory, "-o", directory / "cache")
    assert done.returncode == 0, done.stderr
    assert server.requests.total() > 0
    server.requests.clear()


@pytest.mark.parametrize("kind", ["2023", "2026"])
def test_with_the_cache_a_build_asks_the_source_server_for_nothing(
    tmp_path: Path, kind: Kind
) -> None:
    with SourceServer() as server:
        directory = lay_out(tmp_path / "d", kind=kind, source_url=server.url)
        cached(directory, server)
        options = f"--cache-dir {directory}/cache --env-file {directory}/cache/melange.env"
        targets = [f"package/{name}" for name in TARGETS] if kind == "2026" else ["all"]
        code, said = make(directory, f"MELANGE_EXTRA_OPTS={options} {BOOTSTRAP}", *targets)
        assert code == 0, said
        assert dict(server.requests) == {}
    assert "theme-1.4.2-r3.apk" in built(directory)
    assert "cloned from file:///var/cache/melange/git/127.0.0.1" in said
    assert "found /var/cache/melange/sha" in said


@pytest.mark.parametrize("kind", ["2023", "2026"])
@pytest.mark.parametrize("flags", [[], ["--hermetic"]])
def test_dag_build_uses_the_cache_beside_the_definitions(
    tmp_path: Path, kind: Kind, flags: list[str]
) -> None:
    with SourceServer() as server:
        directory = lay_out(tmp_path / "d", kind=kind, source_url=server.url)
        cached(directory, server)
        done = dag("build", "-d", directory, *flags, "theme", "words")
        assert done.returncode == 0, done.stderr
        assert dict(server.requests) == {}


def test_the_makefiles_own_env_files_still_count(tmp_path: Path) -> None:
    with SourceServer() as server:
        directory = lay_out(tmp_path / "d", source_url=server.url)
        cached(directory, server)
        (directory / "says.yaml").write_text(
            "package: {name: says, version: 1, epoch: 0, description: Says}\n"
            "environment: {contents: {packages: [busybox]}}\n"
            'pipeline: [{runs: \'[ "$BUILD_ARCH $LC_ALL" = "x86_64 C" ] &&'
            ' [ "$GIT_CONFIG_SYSTEM" = /var/cache/melange/gitconfig ]\'}]\n'
        )
        done = dag("build", "-d", directory, "says")
    assert done.returncode == 0, done.stderr


def test_hermetic_says_in_the_plan_what_is_not_in_the_cache(tmp_path: Path) -> None:
    with SourceServer() as server:
        directory = lay_out(tmp_path / "d", source_url=server.url)
        for name in ("clones", "clones-more"):
            uri = f"{server.url}/git/template.git{name.removeprefix('clones')}"
            text = CLONES.format(url=uri, commit="1" * 40)
            (directory / f"{name}.yaml").write_text(text.replace("name: clones", f"name: {name}"))
        for flags in ([], ["--dry-run"]):
            done = dag("build", "-d", directory, "--hermetic", *flags, "words", "clones")
            assert done.returncode == 2
            said = done.stderr
            assert "--hermetic: these sources are not in the cache" in said
            fetch = rf"words\.yaml:\d+: {server.url}/files/words-2023-01-25\.txt: sha512:"
            assert re.search(fetch, said)
            clone = f"clones.yaml:4: {server.url}/git/template.git: tag v0.20 at {'1' * 40}"
            assert clone in said
            assert "building" not in said
        # A URI that only begins like that of a cached repository is another repository. A cached
        # one that lacks what a definition wants is not used either.
        dag("cache", "-d", directory, "-o", directory / "cache", "template")
        said = dag("build", "-d", directory, "--hermetic", "clones-more", "clones").stderr
        assert f"clones-more.yaml:4: {server.url}/git/template.git-more: tag v0.20" in said
        assert f"clones.yaml:4: {server.url}/git/template.git: tag v0.20" in said
