"""A directory of definitions: what is read, what is refused, and what the cache may answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dag.core.graph.graph import Graph
from dag.core.package import compile  # noqa: A004  # the module's name
from dag.core.package.model import Package
from dag.errors import UsageError
from dag.io.package import definitions, parses
from dag.io.package.definitions import read
from tests.support.directories import define, needs, refusal
from tests.support.distributions import SEED, unpacked

pytestmark = pytest.mark.usefixtures("cache")


def test_only_the_top_level_is_read(directory: Path) -> None:
    (directory / "below").mkdir()
    define(directory / "below", "c")
    (directory / "d.yaml").mkdir()
    define(directory, "e", file="e.yml")
    (directory / "settings.yaml").write_text("a: 1\n")
    assert [one.name for one in read(directory, arch="x86_64")] == ["a", "b"]
    assert list(definitions.read_directory(directory, arch="x86_64").words()) == [
        f"{directory}/e.yml is not read, because only *.yaml is; rename what is a definition",
        (
            f"{directory}/below/c.yaml is not read, because only the top level of {directory} is; "
            "move definitions there, or name their folder with --dir"
        ),
    ]


def test_only_what_looks_like_a_definition_gets_a_word(directory: Path) -> None:
    (directory / "ci.yml").write_text("on: push\nname: package\n")
    (directory / "big.yml").write_bytes(b"package:\n  name: x\n" + b"#" * 1_000_000)
    os.mkfifo(directory / "pipe.yml")
    for folder in ("a", "packages", ".hidden", "tests"):
        (directory / folder).mkdir()
    for folder in ("a", "packages", ".hidden"):
        define(directory / folder, "x")
    (directory / "tests" / "x.yaml").write_text("package: text\n")
    (directory / "shut").mkdir(mode=0)
    assert not list(definitions.read_directory(directory, arch="x86_64").words())


def test_a_directory_whose_definitions_are_elsewhere_says_where(tmp_path: Path) -> None:
    (tmp_path / "os").mkdir()
    define(tmp_path / "os", "x")
    for name in ("w", "x", "y", "z"):
        define(tmp_path, name, file=f"{name}.yml")
    files = ", ".join(f"{tmp_path}/{name}.yml" for name in ("w", "x", "y"))
    assert refusal(tmp_path).split("\n") == [
        f"{tmp_path} has no package definitions",
        f"{files} and 1 more are not read, because only *.yaml is; rename what is a definition",
        (
            f"{tmp_path}/os/x.yaml is not read, because only the top level of {tmp_path} is; "
            "move definitions there, or name their folder with --dir"
        ),
    ]


def test_own_pipelines_go_before_given_ones_and_these_before_the_built_in(
    directory: Path, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    (given / "own").mkdir(parents=True)
    (given / "own/step.yaml").write_text("needs: {packages: [second]}\n")
    (given / "strip.yaml").write_text("needs: {packages: [own-strip]}\n")
    define(directory, "c", "pipeline: [{uses: own/step}, {uses: strip}, {uses: patch}]")
    assert needs(read(directory, arch="x86_64", pipeline_dirs=[given]), "c") == [
        "first",
        "own-strip",
        "patch",
    ]
    assert needs(read(directory, arch="x86_64"), "c") == ["first", "binutils", "scanelf", "patch"]


def test_an_installed_melange_is_asked_for_its_own(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "usr"
    (installed / "bin").mkdir(parents=True)
    (installed / "bin" / "melange").write_text("#!/bin/sh\nexit 1\n")
    (installed / "bin" / "melange").chmod(0o755)
    pipelines = installed / "share" / "melange" / "pipelines"
    pipelines.mkdir(parents=True)
    (pipelines / "strip.yaml").write_text("needs: {packages: [its-strip]}\n")
    define(directory, "c", "pipeline: [{uses: strip}]")
    monkeypatch.setenv("PATH", f"{installed / 'bin'}:{os.environ['PATH']}")
    assert needs(read(directory, arch="x86_64"), "c") == ["its-strip"]


def test_all_problems_of_all_files_at_once(directory: Path) -> None:
    define(directory, "../../x", file="c.yaml")
    (directory / "d.yaml").write_text("package: {name: d\n")
    (directory / "e.yaml").write_bytes(b"package:\n  name: \xff\n")
    (directory / "f.yaml").symlink_to("nowhere.yaml")
    (directory / "g.yaml").write_bytes(b"package:\n  name: g\n" + b"#" * 100_000_000)
    (directory / "h.yaml").write_bytes(b"#" * 100_000_000)
    define(directory, "b", file="i.yaml")
    message = refusal(directory)
    for part in (
        "the definitions have 6 problems\n",
        "c.yaml:2: package.name '../../x' is not the name of a package",
        "d.yaml:2: broken YAML",
        "e.yaml:2: not UTF-8",
        "f.yaml:1: the symbolic link leads nowhere",
        "g.yaml:1: the file is larger than 8 MiB",
        "b.yaml:2: the package 'b' is also defined in i.yaml:2, which counts because it is the",
    ):
        assert part in message
    assert "h.yaml" not in message


def test_what_is_wrong_stays_where_it_is(directory: Path) -> None:
    define(directory, "c", "pipeline: [{uses: nowhere}]\nsubpackages: [{name: c-dev}]")
    (directory / "d.yaml").write_text(
        "package:\n  name: dd\n\tversion: 1\nsubpackages:\n  - name: e\n"
    )
    (directory / "f.yaml").symlink_to("nowhere.yaml")
    define(directory, "a", "subpackages: [{name: only-here}]", file="z.yaml")
    found = definitions.read_directory(directory, arch="x86_64")
    assert [(one.name, one.file) for one in found.packages] == [("a", "z.yaml"), ("b", "b.yaml")]
    assert {one.file: one.names for one in found.broken} == {
        "a.yaml": ("a",),
        "c.yaml": ("c", "c-dev"),
        "d.yaml": ("dd", "e"),
        "f.yaml": ("f",),
    }
    *lines, last = found.words()
    assert [line.partition(": ")[0] for line in lines] == [
        f"{directory}/{place}" for place in ("a.yaml:2", "c.yaml:4", "d.yaml:3", "f.yaml:1")
    ]
    # For the package of the first one there is another definition.
    assert last == "3 definitions cannot be used"
    with pytest.raises(UsageError, match="the definitions have 4 problems"):
        found.require_sound()


@pytest.mark.parametrize("name", ["", "-1"])
def test_of_two_definitions_of_one_package_the_higher_version_counts(
    directory: Path, name: str
) -> None:
    path = define(directory, "b", file=f"b{name or '-2'}.yaml")
    path.write_text(
        path.read_text().replace("version: 1", "version: 1.10" if name else "version: 0.9")
    )
    found = definitions.read_directory(directory, arch="x86_64")
    assert [one.file for one in found.packages if one.name == "b"] == [
        path.name if name else "b.yaml"
    ]
    (word,) = found.words()
    assert "is higher; rename or remove one of the two" in word


def test_names_that_two_definitions_have_in_common_are_one_problem(tmp_path: Path) -> None:
    for name in ("a-1", "a-2"):
        (tmp_path / f"{name}.yaml").write_text(
            f"package: {{name: {name}, version: 1}}\n"
            "data: [{name: r, items: {b: '', c: '', d: '', e: '', f: '', g: '', h: ''}}]\n"
            "subpackages:\n  - {name: 'a-${{range.key}}', range: r}\n"
        )
    found = definitions.read_directory(tmp_path, arch="x86_64")
    assert [one.name for one in found.packages] == ["a-1", "a-2"]
    (word,) = found.words()
    assert word == (
        f"{tmp_path}/a-1.yaml:4: the packages 'a-b', 'a-c', 'a-d', 'a-e', 'a-f' and 2 more are also"
        " defined in a-2.yaml:4, which counts because it is the later file; rename or remove them in"
        " one of the two"
    )
    path = tmp_path / "a-1.yaml"
    path.write_text(path.read_text().replace("name: a-1", "name: a-2"))
    (word,) = definitions.read_directory(tmp_path, arch="x86_64").words()
    assert ":1: the packages 'a-2', 'a-b', 'a-c', 'a-d', 'a-e' and 3 more are also defined" in word


@pytest.mark.parametrize(("arch", "file"), [("x86_64", "a-1.yaml"), ("aarch64", "a-2.yaml")])
def test_two_definitions_of_one_package_for_two_architectures_are_no_clash(
    tmp_path: Path, arch: str, file: str
) -> None:
    for number, only, version in ((1, "x86_64", 1), (2, "aarch64", 2)):
        (tmp_path / f"a-{number}.yaml").write_text(
            f"package: {{name: a, version: {version}, target-architecture: [{only}]}}\n"
            f"environment: {{contents: {{packages: [need-{number}]}}}}\n"
            "subpackages: [{name: a-dev}]\n"
        )
    (tmp_path / "user.yaml").write_text(
        "package: {name: user, version: 1}\nenvironment: {contents: {packages: [a-dev]}}\n"
    )
    found = definitions.read_directory(tmp_path, arch=arch, cached=False)
    assert [one.file for one in found.packages] == [file, "user.yaml"]
    assert not list(found.words())
    found.require_sound()
    assert Graph(found.packages, arch=arch).installed("user") == ["a"]
    # Where melange builds neither, one of them is there to say so.
    (one,) = [
        one
        for one in definitions.read_directory(tmp_path, arch="riscv64", cached=False).packages
        if one.name == "a"
    ]
    assert one.file == "a-2.yaml"


def test_names_that_begin_with_a_dot_are_passed_over(directory: Path) -> None:
    (directory / ".#a.yaml").symlink_to("somebody@machine.1234:5678")
    (directory / "._a.yaml").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X package \xff")
    define(directory, "c", file=".c.yaml")
    found = definitions.read_directory(directory, arch="x86_64")
    assert [one.name for one in found.packages] == ["a", "b"]
    assert not list(found.words())


def test_a_file_name_that_is_no_text_is_a_problem(directory: Path) -> None:
    (directory / "pipelines" / os.fsdecode(b"p\xff.yaml")).write_text("needs: {}\n")
    assert len(read(directory, arch="x86_64")) == 2
    for name in (b"x\xff.yaml", b"x\n.yaml"):
        (directory / os.fsdecode(name)).write_text("package: {name: x, version: 1}\n")
    message = refusal(directory)
    message.encode()
    assert len(message.splitlines()) == 3
    assert "'x\\n.yaml':1: the name of the file has characters that nobody can type;" in message


def test_all_code_that_resolves_is_part_of_the_key(directory: Path) -> None:
    define(directory, "c", "pipeline: [{uses: fetch, with: {uri: x}}]")
    resolve = (
        "import sys; from dag.core.package.compile import read_definition as c;"
        "from dag.core.package.pipelines import Table; from dag.core.arch import Arch;"
        "c(sys.stdin.buffer.read(), 'c.yaml', arch=Arch.parse('x86_64'), table=Table({}));"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] == 'dag'))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", resolve],
        input=(directory / "c.yaml").read_bytes(),
        capture_output=True,
        check=True,
    )
    files = {Path(name) for name in loaded.stdout.decode().split()}
    assert len(files) > 10
    assert files <= set(parses.resolving_code())


def test_a_fifo_does_not_block(directory: Path) -> None:
    os.mkfifo(directory / "x.yaml")
    assert len(read(directory, arch="x86_64")) == 2


def test_a_directory_without_definitions_is_refused(tmp_path: Path) -> None:
    assert "no package definitions" in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "nowhere")


@pytest.mark.long
def test_processes_and_cache_change_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "seed"
    shutil.copytree(unpacked(SEED), root)
    alone = _alone(root, monkeypatch)
    assert read(root, arch="x86_64") == alone
    assert list(cache.iterdir())
    assert read(root, arch="x86_64") == alone
    assert read(root, arch="aarch64") == read(root, arch="aarch64", cached=False) != alone


def _alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Package, ...]:
    with monkeypatch.context() as context:
        context.setattr(definitions, "WORTH_A_PROCESS", 10**9)
        return read(root, arch="x86_64", cached=False)


def test_a_child_that_dies_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _alone(unpacked(SEED), monkeypatch)
    parent = os.getpid()
    real = compile.read_definition

    def dies(*given: Any, **more: Any) -> Any:
        if os.getpid() != parent:
            os._exit(1)
        return real(*given, **more)

    monkeypatch.setattr(compile, "read_definition", dies)
    assert read(unpacked(SEED), arch="x86_64", cached=False) == expected
