"""`dag cache` pushes the cache as an image, and fills a cache from one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.caching import dag, files, sha256, write_clone
from tests.support.gitserver import GitServer, Upstream
from tests.support.registries import Server, base_image, registry, skopeo
from tests.support.schema import checked


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def base(running: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    layout = tmp_path_factory.mktemp("base")
    digest = base_image(layout, agent=True)
    name = f"{running.host}/library/base:1"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{name}")
    return f"{name}@{digest}"


def test_without_the_flag_nothing_is_pushed(distribution: Path, tmp_path: Path) -> None:
    (distribution / "dag.toml").write_text('bundle-repo = "127.0.0.1:1/x"\n')
    done = dag(
        "-d",
        distribution,
        "-o",
        tmp_path / "c",
        REPO="127.0.0.1:1/x",
        DAG_BUNDLE_REPO="127.0.0.1:1/x",
    )
    assert (done.code, done.out) == (0, "")


def test_a_cache_goes_through_an_image_and_back_and_a_change_sends_little(
    distribution: Path, tmp_path: Path, running: Server, base: str
) -> None:
    with GitServer(tmp_path / "git") as server:
        upstream = Upstream(tmp_path / "git", "org/repo")
        commit = upstream.commit("first")
        upstream.tag("v1")
        upstream.publish()
        (distribution / "checked.yaml").write_text(
            "package:\n  name: checked\n  version: '1'\n  epoch: 0\npipeline:\n"
            f"  - uses: git-checkout\n    with:\n      repository: {server.url}/org/repo\n"
            f"      tag: v1\n      expected-commit: {commit}\n"
        )
        image = f"{running.host}/me/cache"
        flags = ["-d", distribution, "--bundle-base", base, "--bundle-repo", image]
        first = dag("-o", tmp_path / "one", *flags, XDG_CACHE_HOME=str(tmp_path / "x"))
        assert first.code == 0, first.err
        assert re.fullmatch(rf"{re.escape(image)}@sha256:[0-9a-f]{{64}}\n", first.out)
        again = dag("-o", tmp_path / "one", *flags, XDG_CACHE_HOME=str(tmp_path / "x"))
        assert again.out == first.out
        assert " 0 bytes sent" in again.err

    out = tmp_path / "two"
    taken = dag("--from-bundle", first.out.strip(), "-o", out)
    assert (taken.code, taken.out) == (0, first.out), taken.err
    assert files(out) == files(tmp_path / "one")
    for name in files(out):
        assert name == f"sha256:{sha256((out / name).read_bytes())}"
    for name in ("gitconfig", "melange.env"):
        assert (out / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    # Everything counts as verified: neither server is asked again, and git's server is gone.
    done = dag("-d", distribution, "-o", out, "--json")
    document = json.loads(done.out)
    found = document["sources"] + document["repositories"]
    assert {item["status"] for item in found} == {"present"}
    assert done.code == 0


def test_a_repository_with_an_unpinned_step_is_used_neither_here_nor_from_an_image(
    tmp_path: Path, running: Server, base: str
) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    with GitServer(tmp_path / "git") as server:
        upstream = Upstream(tmp_path / "git", "org/repo")
        commit = upstream.commit("first")
        upstream.tag("v1")
        upstream.publish()
        uri = f"{server.url}/org/repo"
        write_clone(directory, "pinned", uri, "v1", commit)
        write_clone(directory, "floats", uri, "v2", "")
        flags = ["-d", directory, "--bundle-base", base]
        flags += ["--bundle-repo", f"{running.host}/me/unpinned", "-o", tmp_path / "one"]
        pushed = dag(*flags, "pinned")
        assert pushed.code == 0, pushed.err
        said = (
            "there is no expected-commit, so it is not cached: a build asks the network for all of"
            " the repository"
        )
        assert f"dag: floats.yaml:6: {uri}: {said}\n" in pushed.err
        taken = dag("--from-bundle", pushed.out.strip(), "-o", tmp_path / "two")
        assert taken.code == 0, taken.err
        dag("prune", "-d", directory, "-o", tmp_path / "two")
        dag("-d", directory, "-o", tmp_path / "two", "--git=false")
        for out in ("one", "two"):
            assert "includeIf" not in (tmp_path / out / "gitconfig").read_text()
    (directory / "floats.yaml").unlink()
    assert dag("-d", directory, "-o", tmp_path / "two").code == 0
    assert f'remote.*.url:{uri}"]' in (tmp_path / "two" / "gitconfig").read_text()


def test_a_tag_is_resolved_once_and_its_digest_printed(
    distribution: Path, tmp_path: Path, running: Server, base: str
) -> None:
    image = f"{running.host}/me/tagged"
    flags = ["--bundle-base", base, "--bundle-repo", image]
    pushed = dag("-d", distribution, "-o", tmp_path / "one", *flags, "lib")
    skopeo(
        *("copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *(f"docker://{pushed.out.strip()}", f"docker://{image}:latest"),
    )
    taken = dag("--from-bundle", f"{image}:latest", "-o", tmp_path / "two", "--json")
    assert checked(taken.out, "filled cache")["bundle"] == pushed.out.strip()
    assert len(files(tmp_path / "two")) == 1
    missing = dag("--from-bundle", f"{image}:nothing", "-o", tmp_path / "three")
    assert missing.code == 3


def test_an_image_with_other_bytes_fills_nothing(
    tmp_path: Path, running: Server, base: str
) -> None:
    from dag.core.image.archive import file_of
    from dag.io.image.bundle import push_bundle

    name = f"sha256:{sha256(b'right')}"
    pushed = push_bundle(f"{running.host}/me/wrong", [file_of(name, b"wrong")], base=base)
    done = dag("--from-bundle", pushed.reference, "-o", tmp_path / "c")
    assert done.code == 3
    assert "is not what its name says: its hash is" in done.err
    assert files(tmp_path / "c") == []


def test_an_image_without_a_cache_in_it_is_said_to_be_none(
    tmp_path: Path, running: Server, base: str
) -> None:
    from dag.io.image.bundle import push_bundle

    pushed = push_bundle(f"{running.host}/me/empty", [], base=base)
    done = dag("--from-bundle", pushed.reference, "-o", tmp_path / "c")
    assert done.code == 2
    assert f"{pushed.reference} has no cache in it" in done.err


def test_an_image_with_a_forged_repository_does_not_bring_it(
    tmp_path: Path, running: Server, base: str
) -> None:
    from dag.core.image.archive import file_of
    from dag.io.image.bundle import push_bundle

    claim = {"refs": {"refs/tags/v1": {"at": "1" * 40, "expected": ["1" * 40]}}, "bases": []}
    entries = [
        file_of("git/example.com/a/b.git/HEAD", b"ref: refs/heads/x\n"),
        file_of("git/example.com/a/b.git/config", b"[core]\n\tfsmonitor = touch /tmp/pwned\n"),
        file_of("git/example.com/a/b.git/dag.json", json.dumps(claim).encode()),
        file_of("git/example.com/a/b.git/refs/tags/v1", b"1" * 40),
        file_of("git/../../../escape.git/dag.json".replace("..", "x"), b"{}"),
    ]
    pushed = push_bundle(f"{running.host}/me/forged", entries, base=base)
    done = dag("--from-bundle", pushed.reference, "-o", tmp_path / "c")
    assert done.code == 1
    assert "example.com/a/b.git: its objects or refs" in done.err
    assert not (tmp_path / "c" / "git").exists()
