"""Definitions that the melange of this machine cannot compile are named before anything is built."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.io.package.compiling import CompileCheck, Question
from dag.io.package.definitions import read_directory
from dag.io.package.makefile import melange_flags
from tests.support.builds import Make, apks, definition, run
from tests.support.melange import binary

ARCH = Arch.parse("x86_64")
OLD = "secfixes:\n  1-r0:\n    - CVE-1\nadvisories: {}\n"


def test_they_are_stopped_with_what_needs_them_and_the_rest_is_built(make: Make) -> None:
    place = make(
        old=definition("old") + OLD,
        inputs=definition("inputs").replace("  - runs", "  - with: {a: b}\n    runs"),
        user=definition("user", "old"),
        good=definition("good"),
    )
    count = len((place / "old.yaml").read_text().removesuffix(OLD).splitlines())
    what = "the melange of this machine cannot compile the definition: "
    for words in (("--dry-run",), ()):
        code, _, said = run(place, *words)
        assert code == 0, said
        fields = [(count + 1, "secfixes"), (count + 4, "advisories")]
        for line, field in fields:
            field_said = f"field {field} not found in type config.Configuration"
            assert f"dag: old.yaml:{line}: {what}{field_said}; correct it" in said
        assert f"dag: inputs.yaml:2: {what}validating configuration" in said
        assert "pipeline contains with but no uses" in said
        assert "left out, because what they need cannot be built: user; user needs old at" in said
        assert said.count("secfixes not found") == 1
    assert apks(place) == ["good-1-r0.apk"]
    assert said.endswith("; 2 definitions cannot be used\n")
    code, out, _ = run(place, command="status")
    assert code == 0
    assert out.endswith("; 2 definitions cannot be used\n")
    code, _, said = run(place, "user")
    assert code == 2, said
    code, _, said = run(place, "--strict", "--rebuild", "good", "good")
    assert code == 0, said
    code, _, said = run(place, "--strict")
    assert code == 2
    assert "the definitions have 3 problems" in said
    assert said.count("secfixes not found") == 1
    # What nobody wants to build is not asked about.
    (place / "old.yaml").write_text(definition("old"))
    code, _, said = run(place, "user")
    assert code == 0, said
    assert "cannot compile" not in said


def test_a_version_that_melange_compiles_and_does_not_build_is_named_before_anything_is_built(
    make: Make,
) -> None:
    place = make(
        dated=definition("dated", version="2023-01-25"),
        user=definition("user", "dated"),
        good=definition("good"),
    )
    what = "melange builds no package with the version '2023-01-25'; give package.version as apk"
    for words in ((), ("--dry-run",)):
        code, _, said = run(place, *words)
        assert code == 0, said
        assert said.count(f"dag: dated.yaml:3: {what} writes it, like 1.2.3") == 1
        assert "left out, because what they need cannot be built: user; user needs dated at" in said
    assert apks(place) == ["good-1-r0.apk"]
    code, _, said = run(place, "user")
    assert code == 2, said
    code, out, said = run(place, "-t", "name-version", command="text")
    assert (code, out.split()) == (0, ["dated-2023-01-25-r0", "good-1-r0", "user-1-r0"])
    assert f"dag: dated.yaml:3: {what}" in said
    melange = ["build", "--arch=x86_64", "--runner=bubblewrap", "dated.yaml"]
    done = subprocess.run(
        [binary(), *melange], cwd=place, capture_output=True, text=True, check=False
    )
    assert "unable to parse version '2023-01-25'" in done.stderr


def test_they_are_compiled_with_their_pipelines_and_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = str(binary())  # which has its own place in the cache
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    step = "pipeline:\n  - {uses: local, with: {a: b}}\n  - runs: echo ${{targets.destdir}} "
    begin = "package: {name: NAME, version: '1', epoch: 0}\n"
    texts = {
        "good": step,
        "input": step.replace("a: b", "c: d"),
        "variable": f"{step}${{{{vars.unheard}}}}",
        "shell": f"{step}$(",
        "optional": f"{step}${{{{vars.extra}}}}\noptions: {{extra: {{vars: {{extra: 'yes'}}}}}}",
        "built-in": step.replace("local, with: {a: b}", "go/build, with: {subpackage: 'yes'}"),
        "other": step,
    }
    for name, text in texts.items():
        start = begin.replace("NAME", name)
        if name == "other":
            start = start.replace("0}", "0, target-architecture: [aarch64]}")
        (tmp_path / f"{name}.yaml").write_text(f"{start}{text}\n")
    local = tmp_path / "pipelines/local.yaml"
    local.parent.mkdir()
    local.write_text("inputs: {a: {default: ''}}\npipeline: [{runs: 'true'}]\n")

    def refused() -> dict[str, str]:
        found = read_directory(tmp_path, arch="x86_64", build_options=["extra"])
        problems = CompileCheck(real, tmp_path).refused(found, found.packages, ARCH)
        return {file: one.what.partition(": ")[2] for file, (one,) in problems.items()}

    first = refused()
    assert sorted(first) == ["built-in.yaml", "input.yaml", "shell.yaml", "variable.yaml"]
    assert 'undefined input "subpackage" to pipeline "go/build"' in first["built-in.yaml"]
    assert first["input.yaml"].startswith('compiling "input" pipelines: compiling Pipeline[0]')
    assert "variable vars.unheard not defined" in first["variable.yaml"]
    # Another text of a pipeline is another question.
    local.write_text("inputs: {c: {default: ''}}\npipeline: [{runs: 'true'}]\n")
    assert "good.yaml" in refused()
    assert "input.yaml" not in refused()


def test_of_several_directories_of_pipelines_none_is_taken_for_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = str(binary())  # which has its own place in the cache
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for root in ("pipelines", "more"):
        (tmp_path / root).mkdir()
        (tmp_path / root / "strip.yaml").write_text(f"inputs: {{{root}: {{default: ''}}}}\n")
    text = definition("a") + "  - {uses: strip, with: {pipelines: x}}\n"
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(definition("b") + OLD)
    found = read_directory(tmp_path, arch="x86_64", pipeline_dirs=[tmp_path / "more"])
    refused = CompileCheck(real, tmp_path).refused(found, found.packages, ARCH)
    assert sorted(refused) == ["b.yaml"]


def test_an_answer_is_kept_for_the_text_and_that_melange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = binary()  # which has its own place in the cache
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "d"
    place.mkdir()
    log = tmp_path / "log"
    melange = tmp_path / "melange"
    melange.write_text(f'#!/bin/sh\necho "$@" >>{log}\nexec {real} "$@"\n')
    melange.chmod(0o755)
    (place / "a.yaml").write_text(definition("a") + OLD)
    (place / "-b.yaml").write_text(definition("b"))

    def refused() -> list[str]:
        found = read_directory(place, arch="x86_64")
        return sorted(CompileCheck(str(melange), place).refused(found, found.packages, ARCH))

    assert refused() == refused() == ["a.yaml"]
    assert len(log.read_text().splitlines()) == 2
    (place / "a.yaml").write_text(definition("a"))
    assert refused() == []
    assert len(log.read_text().splitlines()) == 3
    melange.write_text(melange.read_text() + "\n")
    before = len(log.read_text().splitlines())
    assert refused() == []
    assert len(log.read_text().splitlines()) == before + 2  # another melange is asked anew
    found = read_directory(place, arch="x86_64")
    assert CompileCheck(None, place).refused(found, found.packages, ARCH) == {}


def test_answers_outlast_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = str(binary())  # which has its own place in the cache
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a.yaml").write_text(definition("a") + OLD)
    (tmp_path / "b.yaml").write_text(definition("b"))
    found = read_directory(tmp_path, arch="x86_64")

    class Interrupted(CompileCheck):
        def _ask(self, file: str, asked: Question) -> str | None:
            if file == "b.yaml":
                raise KeyboardInterrupt
            return super()._ask(file, asked)

    with pytest.raises(KeyboardInterrupt):
        Interrupted(real, tmp_path).refused(found, found.packages, ARCH)
    again = CompileCheck(real, tmp_path)
    assert [*again.refused(found, found.packages, ARCH)] == ["a.yaml"]
    assert (
        again.words()
        == "asking melange whether it can compile the definitions: 1 of 1 are answered"
    )


def test_a_file_of_variables_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = binary()  # which has its own place in the cache
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    uses = "  - uses: elsewhere\n"  # where melange is not told to look now
    need = definition("a").replace("packages:\n", "packages:\n      - ${{vars.x}}\n")
    texts = {"a": need + uses + "vars: {y: z}\n", "b": definition("b") + uses + "vars: {}\n" + OLD}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "more").mkdir()
    (tmp_path / "more/elsewhere.yaml").write_text("pipeline: [{runs: 'true'}]\n")
    (tmp_path / "all.vars").write_text("x: y\n")
    (tmp_path / "Makefile").write_text(
        "package/%:\n\t$(MELANGE) build $*.yaml --vars-file all.vars --pipeline-dirs more\n"
    )
    flags = melange_flags(tmp_path, arch=Arch.parse("x86_64"))
    found = read_directory(tmp_path, arch="x86_64", flags=flags)
    refused = CompileCheck(str(real), tmp_path).refused(found, found.packages, ARCH)
    assert sorted(refused) == ["b.yaml"]
    assert "field secfixes not found" in refused["b.yaml"][0].what
