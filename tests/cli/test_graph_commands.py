"""The graph's commands as a user runs them: data on stdout, the rest on stderr, and the exit code."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.distributions import SEED, TODAY, case, unpacked
from tests.support.faults import Origin
from tests.support.serving import serving

ROOT = Path(__file__).parents[2]


def dag(*words: str | Path, cwd: Path = ROOT, code: int = 0) -> tuple[str, str]:
    done = commands.dag(*words, environment=os.environ, cwd=cwd)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


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


def index(text: str, encoding: str = "utf-8") -> bytes:
    def archive(name: str, content: bytes) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        return gzip.compress(buffer.getvalue())

    # apko signs like this: there are two gzip streams, one after the other.
    return archive(".SIGN.RSA.x.rsa.pub", b"signature") + archive("APKINDEX", text.encode(encoding))


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

    with serving(partial(Quiet, directory=str(repository))) as port:
        yield f"http://127.0.0.1:{port}"


def committing(directory: Path) -> Callable[..., None]:
    """Make a git repository, and return a function that runs git there."""

    def git(*words: str) -> None:
        names = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        more = ["-c", "protocol.file.allow=always", "-c", "core.hooksPath=/dev/null"]
        subprocess.run(
            ["git", *names, *more, *words], cwd=directory, check=True, capture_output=True
        )

    git("init", "-q")
    return git


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
    assert "melange must find elsewhere in a repository; it is needed by app (app.yaml:7)\n" in err


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


def test_an_index_may_describe_packages_in_any_encoding(directory: Path, tmp_path: Path) -> None:
    text = "P:elsewhere\nV:1-r0\nT:café\n\n"
    (tmp_path / "APKINDEX.tar.gz").write_bytes(index(text, "latin-1"))
    _, err = dag("text", "-d", directory, "-r", tmp_path, "-v")
    assert "elsewhere" not in err


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        # The server is on a port.
        (401, "does it want a login? $HTTP_AUTH=basic:HOST:USER:PASSWORD can name no port: serve"),
        (403, "does it want a login? $HTTP_AUTH=basic:HOST:USER:PASSWORD can name no port: serve"),
        (501, "is the URL right? try it with curl, and ask who runs the server"),
    ],
)
def test_a_server_that_does_not_give_an_index_is_told_with_what_to_do(
    directory: Path, origin: Origin, status: int, hint: str
) -> None:
    origin.on("GET", "APKINDEX", times=None).answer(status)
    _, err = dag("text", "-d", directory, "-r", origin.url, code=3)
    assert f"APKINDEX.tar.gz answered with HTTP {status}\nhint: {hint}" in err


def test_a_repository_without_an_index_is_refused(
    directory: Path, tmp_path: Path, url: str
) -> None:
    _, err = dag("text", "-d", directory, "-r", tmp_path / "nothing", code=2)
    assert f"Invalid value for --repository: Path '{tmp_path}/nothing' does not exist." in err
    # A path in dag.toml starts at the directory, wherever the command is given.
    (directory / "repository").mkdir()
    (directory / "dag.toml").write_text('repository = ["repository"]\n')
    _, err = dag("text", "-d", directory, code=2)
    assert f"{directory}/repository has no APKINDEX.tar.gz for x86_64" in err
    _, err = dag("text", "-d", directory, "-r", f"{url}/nothing", code=2)
    assert "APKINDEX.tar.gz is not there" in err
    (tmp_path / "APKINDEX.tar.gz").write_bytes(b"nonsense")
    _, err = dag("text", "-d", directory, "-r", tmp_path, code=2)
    assert "not an index" in err
    linked = io.BytesIO()
    with tarfile.open(fileobj=linked, mode="w:gz") as tar:
        info = tarfile.TarInfo("APKINDEX")
        info.type, info.linkname = tarfile.SYMTYPE, "nowhere"
        tar.addfile(info)
    (tmp_path / "APKINDEX.tar.gz").write_bytes(linked.getvalue())
    _, err = dag("text", "-d", directory, "-r", tmp_path, code=2)
    assert "there is no APKINDEX in the archive" in err
    _, err = dag("text", "-d", directory, "-r", "http://[::1", code=2)
    assert "http://[::1 is not a URL\n" in err
    _, err = dag("text", "-d", directory, "-r", "http://exa\u2100mple.com", code=2)
    assert "http://exa\u2100mple.com is not a URL" in err
    _, err = dag("text", "-d", directory, "-r", "http://127.0.0.1:1/x", code=3)
    assert "127.0.0.1" in err


def test_a_proxy_that_is_none_is_named_where_an_index_is_fetched(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "foo://me:s3cret@x")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    _, err = dag("text", "-d", directory, "-r", "http://127.0.0.1:1/x", code=3)
    assert "$http_proxy names a proxy of the kind foo" in err
    assert "s3cret" not in err


def test_json_is_one_object_a_line(directory: Path) -> None:
    out, _ = dag("text", "-d", directory, "-t", "json")
    found = {one["name"]: one for one in map(json.loads, out.splitlines())}
    assert found["app"]["dependencies"] == ["lib-dev", "tool", "elsewhere"]
    assert found["tool"]["dropped"] == [
        {"name": "lib", "origin": "lib", "where": "tool.yaml:7", "kind": "environment"}
    ]
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
        "appended": [],
        "needs": {},
        "installs": [],
        "dropped": [],
    }


def test_cycles_are_told_with_their_needs_and_what_would_break_them(directory: Path) -> None:
    out, _ = dag("cycles", "-d", directory)
    assert "component 1: 2 packages that all need each other" in out
    assert "lib → tool → lib" in out
    assert "lib needs tool at lib.yaml:7, environment" in out
    assert "bootstrapping this package would break it: lib" in out
    out, _ = dag("cycles", "-d", directory, "-t", "json")
    assert json.loads(out)["cycles"] == [["lib", "tool"]]
    define(directory, "tool", "[]")
    assert dag("cycles", "-d", directory)[0] == "there are no cycles\n"


def test_a_need_is_explained_by_the_line_that_has_it(directory: Path) -> None:
    out, _ = dag("path", "-d", directory, "app", "lib")
    assert out == "app needs lib-dev (of lib) at app.yaml:7, environment\n"
    out, _ = dag("path", "-d", directory, "app", "lib", "-t", "json")
    assert json.loads(out)["line"] == 7
    out, err = dag("path", "-d", directory, "zip", "lib", code=1)
    assert (out, err) == ("", "dag: zip doesn't need lib\n")
    dag("path", "-d", directory, "zip", "nothing", code=2)


@pytest.mark.installs
def test_what_was_asked_for_is_drawn_and_dropped_edges_are_dashed(
    directory: Path, tmp_path: Path
) -> None:
    subprocess.run([ROOT / "scripts" / "apt", "graphviz"], check=True)
    dag("svg", "-d", directory, "app", cwd=tmp_path)
    picture = (tmp_path / "dag.svg").read_text()
    assert "<svg" in picture
    assert "lib 1.10" in picture
    assert "zip" not in picture
    out, _ = dag("svg", "-d", directory, "-o", "-", "--format", "dot")
    assert '"tool" -> "lib" [style=dashed];' in out


def test_bad_definitions_exit_with_2_if_nothing_is_to_be_wrong(directory: Path) -> None:
    define(directory, "$(rm)", "[]")
    define(directory, "other", "[", "")
    out, err = dag("text", "-d", directory, "--strict", "zip", code=2)
    assert out == ""
    assert "2 problems" in err
    assert "$(rm).yaml:2: package.name '$(rm)' is not the name of a package" in err
    (directory / "dag.toml").write_text("strict = true\n")
    dag("text", "-d", directory, code=2)


def test_what_is_wrong_with_one_definition_is_named_once_and_stops_what_needs_it(
    directory: Path,
) -> None:
    define(directory, "bad", "[]", "pipeline: [{uses: goreleaser/build}]")
    define(directory, "user", "[bad, lib]")
    define(directory, "last", "[user]")
    wrong = f"dag: {directory}/bad.yaml:8: there is no pipeline 'goreleaser/build'"
    stop = (
        "user needs bad at user.yaml:7, but the definition of that cannot be used, see bad.yaml:8"
    )
    names = ("-d", directory, "-t", "name")
    out, err = dag("text", *names)
    assert sorted(out.split()) == ["app", "lib", "tool", "zip"]
    assert err.count(wrong) == 1
    assert f"left out, because what they need cannot be built: last, user; {stop}" in err
    _, err = dag("text", *names, "-v")
    assert f"left out: user; {stop}" in err
    assert "left out, because they need one of these: last" in err
    out, err = dag("text", *names, "zip")
    assert (out, err.count(wrong)) == ("zip\n", 1)
    assert "left out" not in err
    out, err = dag("text", *names, "-D", "lib")
    assert sorted(out.split()) == ["app", "lib", "tool"]
    for asked in ("last", "bad", "bad.yaml"):
        for flags in ((), ("-D",)):
            out, err = dag("text", *names, *flags, asked, code=2)
            assert out == ""
            assert err.count(wrong) == 1
    out, _ = dag("path", "-d", directory, "user", "tool")
    assert out.startswith("user needs lib at")
    _, err = dag("path", "-d", directory, "last", "zip", code=2)
    assert stop in err
    dag("path", "-d", directory, "lib", "zip", code=1)
    dag("cycles", "-d", directory)
    out, _ = dag("svg", "-d", directory, "--format", "dot", "-o", "-")
    assert "user" not in out


def test_a_subpackage_of_two_packages_is_that_of_the_higher_version() -> None:
    out, err = dag("text", "-d", case("same-subpackage"), "-t", "name")
    assert out.split() == ["good", "kube-1.26", "kube-1.27"]
    assert err.count("\n") == 1
    assert "kube-1.26.yaml:6: the package 'pause-3.9' is also defined in kube-1.27.yaml:6" in err
    out, _ = dag("text", "-d", case("same-subpackage"), "-t", "name", "pause-3.9")
    assert out == "kube-1.27\n"


def test_words_for_what_was_meant(directory: Path) -> None:
    define(directory, "more", "[elsewhere, lib-deb]")
    _, err = dag("text", "-d", directory)
    assert "melange must find in a repository: lib-deb (did you mean lib-dev?), " in err
    _, err = dag("text", "-d", directory, "-v")
    assert (
        "find lib-deb in a repository; it is needed by more (more.yaml:7); did you mean lib-dev?\n"
        in err
    )
    _, err = dag("text", "--no-jsn", code=2)
    assert "Did you mean '--json'?\n" in err, "--no-json, which no help lists, is closer"
    _, err = dag("text", "--qiet", code=2)
    assert "No such option '--qiet'. Did you mean '--quiet'?\n" in err
    _, err = dag("-d", directory, "text", code=2)
    assert "No such option '-d'. Flags stand behind the command: `dag text …`.\n" in err
    _, err = dag("text", "--dir", directory / "app.yaml", code=2)
    assert f"{directory}/app.yaml is no directory\nhint: --dir takes the directory" in err
    _, err = dag("biuld", code=2)
    assert "No such command 'biuld'" in err
    assert "build" in err.splitlines()[-1]


def test_targets_are_those_of_the_makefile(directory: Path) -> None:
    (directory / "Makefile").write_text("package/%:\n\tmelange build $*.yaml\n")
    assert dag("text", "-d", directory, "zip")[0] == "package/zip\n"
    git = committing(directory)
    git("add", ".")
    git("commit", "-qm", "first")
    define(directory, "zip", "[]")
    assert dag("affected", "-d", directory, "--since", "HEAD")[0] == "package/zip\n"
    out, _ = dag("text", "-d", directory, "--target-template", "{name}-{version}.apk", "zip")
    assert out == "zip-1.10.apk\n"
    _, err = dag("text", "-d", directory, "--target-template", "x", code=2)
    assert "the same target" in err
    (directory / "Makefile").write_text("all: packages/zip\n")
    assert dag("text", "-d", directory, "zip")[0] == "packages/x86_64/zip-1.10-r2.apk\n"
    assert dag("text", "-d", case("file-name"))[0] == "package/melange\n"


def test_a_word_about_architectures_that_melange_does_not_know() -> None:
    _, err = dag("text", "-d", case("target-arch"))
    assert (
        "armlib.yaml:5: target-architecture has 'arm64' and 'amd64', which melange does not know; "
        "write aarch64 and x86_64" in err
    )


@pytest.mark.long
def test_the_order_of_today_is_the_same_however_often_it_is_made() -> None:
    command = [sys.executable, "-m", "dag", "text", "-d", str(unpacked(TODAY))]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    runs = set()
    for seed in "12":  # which decides about the order of sets
        seeded = environment | {"PYTHONHASHSEED": seed}
        done = subprocess.run(command, env=seeded, check=True, capture_output=True, text=True)
        runs.add((done.stdout, done.stderr))
    ((out, err),) = runs
    assert len(out.splitlines()) == 3401
    assert "dropped from the order because of cycles: " in err


def test_both_makefiles_get_their_lines() -> None:
    out, _ = dag("text", "-d", unpacked(SEED), "-t", "makefile", "brotli")
    assert out.splitlines()[-1] == "$(eval $(call build-package,brotli,1.0.9-r0))"
