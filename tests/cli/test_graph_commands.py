"""The graph's commands as a person runs them: stdout is data, stderr the rest, the exit code."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.distribution import SEED, TODAY, unpacked

ROOT = Path(__file__).parents[2]


def dag(*words: str | Path, cwd: Path = ROOT, code: int = 0) -> tuple[str, str]:
    process = subprocess.run(
        [sys.executable, "-m", "dag", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == code, process.stderr
    assert "Traceback" not in process.stderr
    return process.stdout, process.stderr


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "definitions"
    root.mkdir()
    define(root, "app", "[lib-dev, tool, elsewhere]")
    define(root, "lib", "[tool]", "subpackages: [{name: lib-dev}]")
    define(root, "tool", "[lib]")
    define(root, "zip", "[]", "pipeline: [{uses: strip}]")
    return root


def define(root: Path, name: str, packages: str, more: str = "") -> None:
    (root / f"{name}.yaml").write_text(
        f"package:\n  name: {name}\n  version: 1.10\n  epoch: 2\n"
        f"environment:\n  contents:\n    packages: {packages}\n{more}\n"
    )


def index(text: str) -> bytes:
    def archive(name: str, content: bytes) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        return gzip.compress(buffer.getvalue())

    # As apko signs: two gzip streams one after the other.
    return archive(".SIGN.RSA.x.rsa.pub", b"signature") + archive("APKINDEX", text.encode())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "x86_64").mkdir(parents=True)
    text = "P:elsewhere\nV:1-r0\n\nP:tool\nV:1.9-r0\np:cmd:tool=1\n\n"
    (root / "x86_64" / "APKINDEX.tar.gz").write_bytes(index(text))
    return root


@pytest.fixture
def url(repository: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(repository)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_text_is_dependencies_first_and_says_what_it_leaves_out(directory: Path) -> None:
    out, err = dag("text", "-d", directory)
    assert out.splitlines() == [
        f"packages/x86_64/{name}-1.10-r2.apk" for name in ("tool", "lib", "app", "zip")
    ] or out.splitlines() == [
        f"packages/x86_64/{name}-1.10-r2.apk" for name in ("lib", "tool", "app", "zip")
    ]
    assert "tool needs lib at tool.yaml:7, environment" in err
    assert "elsewhere" in err


def test_text_of_some_and_of_their_dependents(directory: Path) -> None:
    out, _ = dag("text", "-d", directory, "lib-dev", "-t", "name")
    assert sorted(out.split()) == ["lib", "tool"]
    out, _ = dag("text", "-d", directory, "-D", "tool", "-t", "name", "-a", "arm64")
    assert set(out.split()) == {"lib", "tool", "app"}
    out, _ = dag("text", "-d", directory, "--show-dependents=false", "tool", "-t", "name")
    assert set(out.split()) == {"lib", "tool"}
    out, _ = dag("text", "-d", directory, "zip", "-a", "arm64")
    assert out == "packages/aarch64/zip-1.10-r2.apk\n"


def test_an_unknown_name_prints_nothing_else(directory: Path) -> None:
    out, err = dag("text", "-d", directory, "lib", "libb", code=2)
    assert out == ""
    assert 'package "libb" not found in graph' in err
    assert "lib" in err.splitlines()[-1]


def test_v_names_every_dropped_edge_and_who_needs_what_is_not_there(directory: Path) -> None:
    _, err = dag("text", "-d", directory, "-v")
    assert "dropped, must be bootstrapped: tool needs lib at tool.yaml:7, environment" in err
    assert "melange must find elsewhere in a repository: needed by app\n" in err


@pytest.mark.parametrize("place", ["directory", "url"])
def test_a_repository_satisfies_what_is_missing_and_opens_cycles(
    directory: Path, repository: Path, url: str, place: str
) -> None:
    where = str(repository) if place == "directory" else url
    _, err = dag("text", "-d", directory, "-v", "-r", where)
    assert "dropped, must be bootstrapped (a repository has it): lib needs tool" in err
    assert "elsewhere" not in err
    out, _ = dag("cycles", "-d", directory, "-r", where)
    assert "(a repository has it)" in out


def test_a_repository_without_an_index_is_refused(
    directory: Path, tmp_path: Path, url: str
) -> None:
    _, err = dag("text", "-d", directory, "-r", tmp_path / "nothing", code=2)
    assert "nothing: no APKINDEX.tar.gz for x86_64 here" in err
    # A path in dag.toml starts at the directory, wherever the command is given.
    (directory / "repository").mkdir()
    (directory / "dag.toml").write_text('repository = ["repository"]\n')
    _, err = dag("text", "-d", directory, code=2)
    assert f"{directory}/repository: no APKINDEX.tar.gz for x86_64 here" in err
    _, err = dag("text", "-d", directory, "-r", f"{url}/nothing", code=2)
    assert "no index there" in err
    (tmp_path / "APKINDEX.tar.gz").write_bytes(b"nonsense")
    _, err = dag("text", "-d", directory, "-r", tmp_path, code=2)
    assert "not an index" in err
    _, err = dag("text", "-d", directory, "-r", "http://127.0.0.1:1/x", code=3)
    assert "127.0.0.1" in err


def test_json_is_one_object_a_line(directory: Path) -> None:
    out, _ = dag("text", "-d", directory, "-t", "json")
    found = {one["name"]: one for one in map(json.loads, out.splitlines())}
    assert found["app"]["dependencies"] == ["lib-dev", "tool", "elsewhere"]
    assert found["tool"]["dropped"] == [{"name": "lib", "origin": "lib", "where": "tool.yaml:7"}]
    assert found["zip"] == {
        "name": "zip",
        "version": "1.10",
        "epoch": 2,
        "file": "zip.yaml",
        "line": 2,
        "level": 0,
        "architectures": [],
        "subpackages": [],
        "dependencies": ["binutils", "scanelf"],
        "origins": [],
        "external": ["binutils", "scanelf"],
        "dropped": [],
    }


def test_cycles(directory: Path) -> None:
    out, _ = dag("cycles", "-d", directory)
    assert "component 1: 2 packages that all need each other" in out
    assert "lib → tool → lib" in out
    assert "lib needs tool at lib.yaml:7, environment" in out
    assert "bootstrapping these 1 would break it: lib" in out
    out, _ = dag("cycles", "-d", directory, "-t", "json")
    assert json.loads(out)["cycles"] == [["lib", "tool"]]
    define(directory, "tool", "[]")
    assert dag("cycles", "-d", directory)[0] == "there are no cycles\n"


def test_path(directory: Path) -> None:
    out, _ = dag("path", "-d", directory, "app", "lib")
    assert out == "app needs lib-dev (of lib) at app.yaml:7, environment\n"
    out, _ = dag("path", "-d", directory, "app", "lib", "-t", "json")
    assert json.loads(out)["line"] == 7
    out, err = dag("path", "-d", directory, "zip", "lib", code=1)
    assert (out, err) == ("", "dag: zip doesn't need lib\n")
    dag("path", "-d", directory, "zip", "nothing", code=2)


def test_svg_and_dot(directory: Path, tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "apt", "graphviz"], check=True)
    dag("svg", "-d", directory, "app", cwd=tmp_path)
    picture = (tmp_path / "dag.svg").read_text()
    assert "<svg" in picture
    assert "lib 1.10" in picture
    assert "zip" not in picture
    out, _ = dag("svg", "-d", directory, "-o", "-", "--format", "dot")
    assert '"tool" -> "lib" [style=dashed];' in out


def test_affected(directory: Path) -> None:
    def git(*words: str) -> None:
        names = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *names, *words], cwd=directory, check=True, capture_output=True)

    (directory / "pipelines").mkdir()
    (directory / "pipelines" / "strip.yaml").write_text("needs: {packages: []}\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    assert dag("affected", "-d", directory, "--since", "HEAD")[0] == ""
    (directory / "zip").mkdir()
    (directory / "zip" / "a.patch").write_text("x")
    out, err = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name", "-v")
    assert out == "zip\n"
    assert "zip: zip/a.patch changed" in err
    define(directory, "lib", "[]", "subpackages: [{name: lib-dev}]")
    git("add", ".")
    git("commit", "-qm", "second")
    (directory / "pipelines" / "strip.yaml").write_text("needs: {packages: [tool]}\n")
    (directory / "README.md").write_text("x")
    out, err = dag("affected", "-d", directory, "--since", "HEAD^", "-t", "name")
    assert out.split() == ["lib", "tool", "app", "zip"]
    assert "no package's own: README.md" in err
    out, _ = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name", "--direct")
    assert out == "zip\n"
    _, err = dag("affected", "-d", directory, "--since", "--output=x", code=2)
    assert "git knows no such commit" in err
    (directory / "lib.yaml").unlink()
    out, _ = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name")
    assert out.split() == ["tool", "app", "zip"]


def test_bad_definitions_exit_with_2(directory: Path) -> None:
    define(directory, "$(rm)", "[]")
    define(directory, "other", "[", "")
    out, err = dag("text", "-d", directory, code=2)
    assert out == ""
    assert "2 problems" in err
    assert "$(rm).yaml:2: package.name '$(rm)' is no package name" in err


def test_the_order_of_today_is_the_same_however_often_it_is_made() -> None:
    runs = {dag("text", "-d", unpacked(TODAY)) for _ in range(2)}
    ((out, err),) = runs
    assert len(out.splitlines()) == 3401
    assert "dropped from the order because of cycles: " in err


def test_both_makefiles_get_their_lines() -> None:
    out, _ = dag("text", "-d", unpacked(SEED), "-t", "makefile", "brotli")
    assert out.splitlines()[-1] == "$(eval $(call build-package,brotli,1.0.9-r0))"
