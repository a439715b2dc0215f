"""`dag cache` as a user types it: its output, where that goes, and its exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from tests.support.caching import BODIES, dag, files, sha256, write, write_clone
from tests.support.faults import Origin
from tests.support.gitserver import GitServer, Upstream

NONE = "without a checksum nothing can be cached"


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
        env={**os.environ, "TERM": "xterm"},  # that of whoever runs the tests may show no bar
    )
    os.close(follower)
    seen = b""
    try:
        while data := os.read(leader, 4096):
            seen += data
    except OSError:  # how a terminal says that the other side is gone
        pass
    os.close(leader)
    assert process.wait() == 0
    assert b"\x1b[" in seen
    assert "━".encode() in seen
    done = dag("-d", distribution, "-o", tmp_path / "d")
    assert "\x1b" not in done.err


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
        # A submodule is used by the steps that name its repository, too.
        done = dag("-d", directory, "-o", out, "outer1")
        assert done.code == 0, done.err
    listed = dag("-d", directory, "-o", out, "--dry-run").out.splitlines()
    assert {line.split()[0] for line in listed} == {"present"}
    assert all(f'remote.*.url:{uri}"]' in (out / "gitconfig").read_text() for uri in uris)
