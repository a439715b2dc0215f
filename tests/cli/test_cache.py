"""`dag cache` as it is typed: what it prints, where, and with which exit code."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import Origin
from tests.io.gitserver import GitServer, Upstream
from tests.registries import Server, base_image, registry, skopeo

BODIES = {name: name.encode() * 5000 for name in ("lib", "app", "tool")}

NONE = "without a checksum nothing can be cached"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        for name, body in BODIES.items():
            server.put(f"/{name}.tar.gz", body)
        yield server


@pytest.fixture
def distribution(tmp_path: Path, origin: Origin) -> Path:
    """app needs lib; tool stands alone."""
    directory = tmp_path / "distribution"
    directory.mkdir()
    for name, needs in (("lib", ""), ("app", "lib"), ("tool", "")):
        write(directory, name, f"{origin.url}/{name}.tar.gz", sha256(BODIES[name]), needs=needs)
    return directory


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(directory: Path, name: str, uri: str, digest: str, *, needs: str = "") -> None:
    packages = f"environment:\n  contents:\n    packages:\n      - {needs}\n" if needs else ""
    (directory / f"{name}.yaml").write_text(
        f"package:\n  name: {name}\n  version: '1.0'\n  epoch: 0\n{packages}pipeline:\n"
        f"  - uses: fetch\n    with:\n      uri: {uri}\n      expected-sha256: {digest}\n"
    )


@dataclass
class Done:
    code: int
    out: str
    err: str


def dag(*arguments: object, **environment: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "dag", "cache", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("DAG_")}
        | environment,
    )
    assert "Traceback" not in done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name.startswith("sha"))


def test_a_package_brings_the_sources_of_its_closure(
    distribution: Path, tmp_path: Path, origin: Origin
) -> None:
    out = tmp_path / "cache"
    done = dag("-d", distribution, "-o", out, "app")
    assert (done.code, done.out) == (0, "")
    assert "2 files, 0 repositories (2 fetched, 0 present)" in done.err
    assert files(out) == sorted(f"sha256:{sha256(BODIES[name])}" for name in ("app", "lib"))
    assert dag("-d", distribution, "-o", out).code == 0
    assert len(files(out)) == 3
    assert origin.count() == 3


def test_an_unknown_package_is_a_usage_error_before_anything_is_fetched(
    distribution: Path, tmp_path: Path, origin: Origin
) -> None:
    done = dag("-d", distribution, "-o", tmp_path / "cache", "ap")
    assert done.code == 2
    assert "ap" in done.err
    assert origin.count() == 0


def test_failures_are_listed_at_the_end_and_the_rest_is_fetched(
    distribution: Path, tmp_path: Path, origin: Origin
) -> None:
    write(distribution, "bad", f"{origin.url}/lib.tar.gz", "0" * 64)
    write(distribution, "gone", f"{origin.url}/gone.tar.gz", "1" * 64)
    text = (distribution / "gone.yaml").read_text()
    (distribution / "none.yaml").write_text(
        re.sub(r"expected-sha256: \w+", "expected-none: true", text).replace("gone", "none")
    )
    out = tmp_path / "cache"
    done = dag("-d", distribution, "-o", out)
    assert done.code == 1
    assert done.out == ""
    got = sha256(BODIES["lib"])
    assert done.err.splitlines()[-4:] == [
        "dag: 3 failures:",
        f"  bad.yaml:6: {origin.url}/lib.tar.gz: expected sha256:{'0' * 64}, got {got}",
        f"  gone.yaml:6: {origin.url}/gone.tar.gz: HTTP 404 Not Found",
        f"  none.yaml:6: {origin.url}/none.tar.gz: expected-none: {NONE}",
    ]
    assert len(files(out)) == 3


def test_json_is_one_document(distribution: Path, tmp_path: Path, origin: Origin) -> None:
    write(distribution, "gone", f"{origin.url}/gone?token=hidden", "1" * 64)
    done = dag("-d", distribution, "-o", tmp_path / "cache", "--json")
    document = json.loads(done.out)
    assert done.code == 1
    assert sorted(s["status"] for s in document["sources"]) == ["failed"] + ["fetched"] * 3
    (problem,) = document["problems"]
    assert problem["place"] == "gone.yaml:6"
    assert "hidden" not in done.out + done.err


def test_a_dry_run_lists_and_fetches_nothing(
    distribution: Path, tmp_path: Path, origin: Origin
) -> None:
    out = tmp_path / "cache"
    dag("-d", distribution, "-o", out, "lib")
    asked = origin.count()
    none = tmp_path / "none"
    for word in ("app", "prune"):
        assert dag("-d", distribution, "-o", none, "--dry-run", word).code == 0
    assert not none.exists()
    done = dag("-d", distribution, "-o", out, "--dry-run", "app")
    assert done.code == 0
    assert sorted(line.split("\t") for line in done.out.splitlines()) == [
        ["missing", f"sha256:{sha256(BODIES['app'])}", f"{origin.url}/app.tar.gz", "app.yaml:10"],
        ["present", f"sha256:{sha256(BODIES['lib'])}", f"{origin.url}/lib.tar.gz", "lib.yaml:6"],
    ]
    assert origin.count() == asked


def test_a_dry_run_takes_a_directory_in_a_files_place_for_none(
    distribution: Path, tmp_path: Path
) -> None:
    (tmp_path / f"sha256:{sha256(BODIES['lib'])}").mkdir()
    done = dag("-d", distribution, "-o", tmp_path, "--dry-run", "lib")
    assert (done.code, done.out.partition("\t")[0]) == (0, "missing")


def test_prune_removes_what_no_definition_names(distribution: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    dag("-d", distribution, "-o", out)
    (distribution / "tool.yaml").unlink()
    name = f"sha256:{sha256(BODIES['tool'])}"
    for flags, left in ((["--dry-run"], 3), ([], 2)):
        done = dag("prune", "-d", distribution, "-o", out, *flags)
        assert (done.code, done.out) == (0, f"{name}\n")
        assert len(files(out)) == left
    assert dag("prune", "-d", distribution, "-o", out).out == ""


def test_prune_keeps_what_a_step_names_that_cannot_be_fetched(
    distribution: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cache"
    out.mkdir()
    write(distribution, "hand", "ftp://example.org/x.tar.gz", sha256(b"by hand"))
    name = f"sha256:{sha256(b'by hand')}"
    (out / name).write_bytes(b"by hand")
    assert dag("prune", "-d", distribution, "-o", out).out == ""
    assert files(out) == [name]


def test_a_mirror_serves_another_machines_cache(
    distribution: Path, tmp_path: Path, origin: Origin
) -> None:
    for body in BODIES.values():
        origin.put(f"/mirror/sha256:{sha256(body)}", body)
    done = dag("-d", distribution, "-o", tmp_path / "cache", "--mirror", f"{origin.url}/mirror")
    assert done.code == 0
    assert origin.count("GET", "/mirror/") == origin.count() == 3
    assert dag("-d", distribution, "--mirror", "file:///etc", "-o", tmp_path / "c").code == 2


def test_a_file_beyond_max_size_is_a_failure(distribution: Path, tmp_path: Path) -> None:
    done = dag("-d", distribution, "-o", tmp_path / "cache", "--max-size", "16Ki")
    assert done.code == 1
    assert "more than --max-size (16384)" in done.err
    assert len(files(tmp_path / "cache")) == 2


def test_on_a_terminal_there_is_a_bar_and_piped_there_are_lines(
    distribution: Path, tmp_path: Path
) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dag", "cache", "-d", str(distribution), "-o", str(tmp_path / "c")],
        stderr=follower,
        stdout=subprocess.DEVNULL,
    )
    os.close(follower)
    seen = b""
    try:
        while data := os.read(leader, 4096):
            seen += data
    except OSError:  # how a terminal says that the other side has left
        pass
    os.close(leader)
    assert process.wait() == 0
    assert b"\x1b[" in seen
    assert "━".encode() in seen
    done = dag("-d", distribution, "-o", tmp_path / "d")
    assert "\x1b" not in done.err


# As an image.


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def base(running: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    layout = tmp_path_factory.mktemp("base")
    digest = base_image(layout)
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
    # All of it counts as verified: neither server is asked again, and git's is gone.
    done = dag("-d", distribution, "-o", out, "--json")
    document = json.loads(done.out)
    found = document["sources"] + document["repositories"]
    assert {item["status"] for item in found} == {"present"}
    assert done.code == 0


def write_clone(directory: Path, name: str, uri: str, tag: str, commit: str) -> None:
    expected = f"      expected-commit: {commit}\n" if commit else ""
    (directory / f"{name}.yaml").write_text(
        f"package:\n  name: {name}\n  version: '1'\n  epoch: 0\npipeline:\n"
        f"  - uses: git-checkout\n    with:\n      repository: {uri}\n      tag: {tag}\n{expected}"
    )


def test_what_other_definitions_want_of_a_repository_comes_too(tmp_path: Path) -> None:
    directory, out = tmp_path / "d", tmp_path / "c"
    directory.mkdir()
    with GitServer(tmp_path / "git") as server:
        uris = []
        for name in ("a", "b", "outer"):
            upstream = Upstream(tmp_path / "git", name)
            uris.append(f"{server.url}/{name}")
            for number in (1, 2):
                commit = upstream.commit(f"{number}")
                upstream.tag(f"v{number}")
                write_clone(directory, f"{name}{number}", uris[-1], f"v{number}", commit)
            upstream.publish()
        commit = upstream.submodule("sub", uris[1], upstream, commit)
        upstream.tag("v3")
        upstream.publish()
        write_clone(directory, "outer3", uris[-1], "v3", commit)
        with (directory / "outer3.yaml").open("a") as file:
            file.write("      recurse-submodules: true\n")
        done = dag("-d", directory, "-o", out, "a1")
        assert (done.code, "1 repository" in done.err) == (0, True), done.err
        listed = dag("-d", directory, "-o", out, "--dry-run").out.splitlines()
        states = {line.split()[2]: line.split()[0] for line in listed if "/a.git" in line}
        assert states == {"refs/tags/v1": "present", "refs/tags/v2": "present"}
        # What comes as a submodule is used by the steps that name it, too.
        done = dag("-d", directory, "-o", out, "outer1")
        assert done.code == 0, done.err
    listed = dag("-d", directory, "-o", out, "--dry-run").out.splitlines()
    assert {line.split()[0] for line in listed} == {"present"}
    assert all(f'remote.*.url:{uri}"]' in (out / "gitconfig").read_text() for uri in uris)


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
        said = "no expected-commit: not cached, a build asks the network for all of the repository"
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
    taken = dag("--from-bundle", f"{image}:latest", "-o", tmp_path / "two")
    assert taken.out == pushed.out
    assert len(files(tmp_path / "two")) == 1
    missing = dag("--from-bundle", f"{image}:nothing", "-o", tmp_path / "three")
    assert missing.code == 3


def test_an_image_with_other_bytes_fills_nothing(
    tmp_path: Path, running: Server, base: str
) -> None:
    from dag.core.archive import content
    from dag.io.bundle import push_bundle

    name = f"sha256:{sha256(b'right')}"
    pushed = push_bundle(f"{running.host}/me/wrong", [content(name, b"wrong")], base=base)
    done = dag("--from-bundle", pushed.reference, "-o", tmp_path / "c")
    assert done.code == 3
    assert "other bytes" in done.err
    assert files(tmp_path / "c") == []


def test_an_image_without_a_cache_in_it_is_said_to_be_none(
    tmp_path: Path, running: Server, base: str
) -> None:
    from dag.io.bundle import push_bundle

    pushed = push_bundle(f"{running.host}/me/empty", [], base=base)
    done = dag("--from-bundle", pushed.reference, "-o", tmp_path / "c")
    assert done.code == 2
    assert f"{pushed.reference} has no cache in it" in done.err


def test_an_image_with_a_forged_repository_does_not_bring_it(
    tmp_path: Path, running: Server, base: str
) -> None:
    from dag.core.archive import content
    from dag.io.bundle import push_bundle

    claim = {"refs": {"refs/tags/v1": {"at": "1" * 40, "expected": ["1" * 40]}}, "bases": []}
    entries = [
        content("git/example.com/a/b.git/HEAD", b"ref: refs/heads/x\n"),
        content("git/example.com/a/b.git/config", b"[core]\n\tfsmonitor = touch /tmp/pwned\n"),
        content("git/example.com/a/b.git/dag.json", json.dumps(claim).encode()),
        content("git/example.com/a/b.git/refs/tags/v1", b"1" * 40),
        content("git/../../../escape.git/dag.json".replace("..", "x"), b"{}"),
    ]
    pushed = push_bundle(f"{running.host}/me/forged", entries, base=base)
    done = dag("--from-bundle", pushed.reference, "-o", tmp_path / "c")
    assert done.code == 1
    assert "example.com/a/b.git: its objects or refs" in done.err
    assert not (tmp_path / "c" / "git").exists()
