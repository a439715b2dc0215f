"""The upstream projects are the same on every machine, and the server serves real clients."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING

import httpx2
import pytest

from cluster.config import HOST_ADDRESS
from examples import sources
from examples.bootstrap import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFINITIONS = "\n".join(path.read_text() for path in sorted((HERE / "distribution").glob("*.yaml")))


@pytest.fixture
def server() -> Iterator[sources.SourceServer]:
    with sources.SourceServer() as running:
        yield running


def git(*words: str | Path) -> str:
    command = ["git", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_definitions_name_what_is_made_here(tmp_path: Path) -> None:
    made = sources.files().values()
    digests = {
        hashlib.new(kind, data).hexdigest() for data in made for kind in ("sha256", "sha512")
    }
    named = set(re.findall(r"expected-sha(?:256|512): (\w+)", DEFINITIONS))
    assert named
    assert named <= digests
    commits = sources.make_repositories(tmp_path)
    assert set(re.findall(r"expected-commit: (\w+)", DEFINITIONS)) == set(commits.values())


def test_the_definitions_name_the_address_that_pods_see() -> None:
    assert sources.ADDRESS == HOST_ADDRESS
    uris = re.findall(r"https?://[^/\s]+", DEFINITIONS)
    assert set(uris) == {sources.URL}


def test_what_is_served_is_counted(server: sources.SourceServer) -> None:
    for path, data in sources.files().items():
        assert httpx2.get(server.url + path).content == data
        assert httpx2.head(server.url + path).headers["content-length"] == str(len(data))
        assert server.requests[path] == 2
    assert httpx2.get(f"{server.url}/files/nothing").status_code == 404


def test_a_tarball_is_one_that_tar_reads() -> None:
    data = sources.files()["/files/shtools-1.10.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
    assert members[0].name == "shtools-1.10"
    assert {(member.uid, member.mtime, member.uname) for member in members} == {(0, 0, "")}


def test_a_shallow_clone_of_a_tag(server: sources.SourceServer, tmp_path: Path) -> None:
    url = f"{server.url}/git/template.git"
    git("clone", "--quiet", "--depth=1", "--branch=v0.20", url, tmp_path / "clone")
    head = git("-C", tmp_path / "clone", "rev-parse", "HEAD").strip()
    assert f"expected-commit: {head}" in DEFINITIONS
    assert (tmp_path / "clone" / "template.sh").exists()


def test_a_clone_without_the_smart_protocol(
    server: sources.SourceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SMART_HTTP", "0")
    git("clone", "--quiet", "--mirror", f"{server.url}/git/theme.git", tmp_path / "theme.git")
    assert git("-C", tmp_path / "theme.git", "tag").split() == ["v1.4.2"]
    assert not any("git-upload-pack" in path for path in server.requests)


def test_the_release_is_not_the_tip_of_its_branch(tmp_path: Path) -> None:
    for name, commit in sources.make_repositories(tmp_path).items():
        assert git("-C", tmp_path / f"{name}.git", "rev-parse", "main").strip() != commit
