"""Make and melange build the example with both kinds of Makefile, as `dag` calls them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from cluster import parts
from dag.io.package.definitions import read
from examples.bootstrap import HERE
from examples.layout import Kind, lay_out
from examples.sources import SourceServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = ("baselayout", "shtools", "words", "template")
"""The first packages in a build order; they fetch both kinds of source."""

BOOTSTRAP = "--repository-append ./bootstrap --keyring-append ./bootstrap/bootstrap.rsa.pub"


@pytest.fixture(scope="module")
def server() -> Iterator[SourceServer]:
    with SourceServer() as running:
        yield running


def make(directory: Path, *targets: str, given: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run make as a pod does; return its exit code and its whole output."""
    assignments = (
        f"MELANGE={parts.build('melange') / 'melange'}",
        f"MELANGE_DIR={parts.pipelines().parent}",
        "KEY=melange.rsa",
        "ARCH=x86_64",
        "REPO=./packages",
        "SOURCE_DATE_EPOCH=1700000000",
        "MELANGE_RUNNER=bubblewrap",
        f"MELANGE_EXTRA_OPTS=--cache-dir {directory}/cache {BOOTSTRAP}",
        # as in the dag.toml of the example
        "BOOTSTRAP=yes",
        "BUILDWORLD=yes",
    )
    done = subprocess.run(
        ["make", *(given or assignments), *targets],
        cwd=directory,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout


def built(directory: Path) -> set[str]:
    return {path.name for path in (directory / "packages" / "x86_64").glob("*.apk")}


def definitions() -> dict[str, dict[str, str]]:
    found = [
        yaml.load(path.read_text(), yaml.BaseLoader) for path in HERE.glob("distribution/*.yaml")
    ]
    return {each["package"]["name"]: each["package"] for each in found}


def test_the_makefile_of_2023_builds_everything(tmp_path: Path, server: SourceServer) -> None:
    directory = lay_out(tmp_path / "d", kind="2023", source_url=server.url)
    code, said = make(directory, "all")
    assert code == 0, said
    expected = {f"{p['name']}-{p['version']}-r{p['epoch']}.apk" for p in definitions().values()}
    languages = {f"words-{language}-20230125-r0.apk" for language in ("de", "en", "fr")}
    assert expected | languages <= built(directory)
    assert "words-de-capitals-20230125-r0.apk" in built(directory)
    assert "words-fr-capitals-20230125-r0.apk" not in built(directory)


def test_the_makefile_of_2026_builds_and_tests(tmp_path: Path, server: SourceServer) -> None:
    directory = lay_out(tmp_path / "d", kind="2026", source_url=server.url)
    code, said = make(directory, *(f"package/{name}" for name in FIRST))
    assert code == 0, said
    assert {"shtools-1.10-r2.apk", "shtools-dev-1.10-r2.apk"} <= built(directory)
    code, said = make(directory, "test/words")
    assert code == 0, said
    code, said = make(directory, *(f"package/{name}" for name in FIRST))
    assert (code, said.count("melange build")) == (0, 0), "what is there is not built again"


CONDITIONS = {
    "arch": "${{build.arch}} == 'x86_64'",
    "not-arch": "${{build.arch}} != 'x86_64'",
    "empty": "${{build.arch}} == ''",
    "own": "${{subpkg.name}} == 'conditions-own'",
    "spaced": "${{ package.name }} == 'conditions'",
    "name": "'${{package.name}}' == 'conditions'",
    "text": "'${{build.arch}}' == '${{build.arch}}'",
    "var": "${{vars.quoted}} == 'yes' && '${{vars.plain}}' != 'no'",
}


def test_the_if_of_a_subpackage_is_what_really_builds(tmp_path: Path) -> None:
    directory = lay_out(tmp_path / "d", kind="2023")
    for path in directory.glob("*.yaml"):
        path.unlink()
    parts_of_it = [
        {"name": f"conditions-{name}", "if": text, "pipeline": [{"runs": "true"}]}
        for name, text in CONDITIONS.items()
    ]
    definition = {
        "package": {"name": "conditions", "version": "1", "epoch": 0},
        "environment": {"contents": {"packages": ["busybox"]}},
        "vars": {"quoted": "'yes'", "plain": "yes"},
        "pipeline": [{"runs": "true"}],
        "subpackages": parts_of_it,
    }
    (directory / "conditions.yaml").write_text(yaml.safe_dump(definition))
    makefile = directory / "Makefile"
    lines = [line for line in makefile.read_text().splitlines() if not line.startswith("$(eval")]
    line = "$(eval $(call build-package,conditions,1-r0))"
    at = max(number for number, text in enumerate(lines) if text.startswith("endef")) + 1
    makefile.write_text("\n".join([*lines[:at], line, *lines[at:]]) + "\n")
    code, said = make(directory, "packages/x86_64/conditions-1-r0.apk")
    assert code == 0, said
    (package,) = read(directory, arch="x86_64", cached=False)
    names = {package.name, *(one.name for one in package.subpackages)}
    assert {f"{name}-1-r0.apk" for name in names} == built(directory)
    assert {"conditions-not-arch", "conditions-name"} <= names
    assert "conditions-arch" in {one.name for one in package.left_out}


def test_the_makefile_of_2026_stops_without_git_history(tmp_path: Path) -> None:
    directory = lay_out(tmp_path / "d", kind="2026")
    code, said = make(directory, "list", given=("ARCH=x86_64",))
    assert code == 2
    assert "setting SOURCE_DATE_EPOCH failed" in said
    code, said = make(directory, "all")
    assert code == 2
    assert "No rule to make target 'all'" in said


def test_the_makefile_of_2026_wants_a_kernel_unless_told_otherwise(tmp_path: Path) -> None:
    directory = lay_out(tmp_path / "d", kind="2026")
    given = ("SOURCE_DATE_EPOCH=0", "MELANGE_TMPDIR=tmp", "KEY=Makefile", "ARCH=x86_64")
    melange = f"MELANGE={parts.build('melange') / 'melange'}"
    code, said = make(directory, "--dry-run", "package/baselayout", given=(*given, melange))
    assert code == 0, said
    assert "mkdir -p tmp/kernel/x86_64" in said
    assert "--runner=qemu" in said


def test_the_makefile_of_2023_lists_what_is_defined() -> None:
    lines = (HERE / "makefiles" / "2023.mk").read_text().splitlines()
    listed = [
        line.removeprefix("$(eval $(call build-package,").removesuffix("))").split(",")
        for line in lines
        if line.startswith("$(eval")
    ]
    expected = {name: f"{p['version']}-r{p['epoch']}" for name, p in definitions().items()}
    assert dict(listed) == expected


@pytest.mark.parametrize("kind", ["2023", "2026"])
def test_a_layout_is_the_same_every_time(tmp_path: Path, kind: Kind) -> None:
    def content(directory: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file()
        }

    first = content(lay_out(tmp_path / "one", kind=kind))
    assert first == content(lay_out(tmp_path / "two", kind=kind))
    assert {"Makefile", "dag.toml", "bootstrap/x86_64/APKINDEX.tar.gz"} <= set(first)
    assert not [name for name, data in first.items() if b"PRIVATE KEY" in data]
    assert not [path for path in (tmp_path / "one").rglob("*") if path.is_symlink()]


def test_a_layout_can_name_another_source_server(tmp_path: Path) -> None:
    directory = lay_out(tmp_path / "d", source_url="http://127.0.0.1:1")
    text = (directory / "shtools.yaml").read_text()
    assert "uri: http://127.0.0.1:1/files/shtools" in text
