"""A copy of a directory, without git and melange, has the units of the one that it was made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.build.directoryfacts import DirectoryFacts
from dag.core.build.options import BuildOptions
from dag.core.build.states import RunLimits
from dag.errors import UsageError
from dag.io.store.local import Store
from dag.run.build.builder import Builder
from dag.run.build.facts import find_facts, require_same
from dag.run.build.inputs import read_inputs
from dag.run.build.planning import plan_in
from dag.run.build.session import Build
from tests.support.gitrepos import commit, git

ARCH = Arch.parse("x86_64")
RULE = "package/%:\n\tmelange build --signing-key $(KEY) $(MELANGE_EXTRA_OPTS)\n"
WRONG = "#!/bin/sh\ncase $* in *wrong.yaml*) echo ' ERRO failed to load configuration: no' >&2; exit 1;; esac\n"


def text(name: str) -> str:
    return f"package: {{name: {name}, version: '1', epoch: 0}}\npipeline: [{{runs: 'true'}}]\n"


def plan(directory: Path, place: Path, facts: DirectoryFacts | None = None) -> Build:
    store = Store(place, ARCH)
    store.prepare()
    options = BuildOptions(directory=str(directory), store=str(place))
    builder = Builder(RunLimits(jobs=1), "image", "store", facts)
    return plan_in(store, options, lambda _: None, builder)


def own_inputs(build: Build) -> dict[str, str]:
    packages = build.basis.graph.packages
    inputs = read_inputs(build.basis, packages)
    return {one.name: inputs.of(one, {}).own for one in packages}


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in git, and have a melange here that refuses one of its definitions."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    place = tmp_path / "origin"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    commit(place, 1000, **{"Makefile": RULE, "a.yaml": text("a"), "wrong.yaml": text("wrong")})
    commit(place, 2000, **{"b.yaml": text("b")})
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "melange").write_text(WRONG)
    (programs / "melange").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return place


def copied(origin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy without git, on a machine without programs."""
    copy = origin.with_name("copy")
    shutil.copytree(origin, copy, ignore=shutil.ignore_patterns(".git"))
    monkeypatch.setenv("PATH", "/nowhere")
    return copy


def test_what_is_handed_over_stands_for_git_and_melange(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = plan(origin, tmp_path / "store")
    facts = find_facts(there.basis)
    assert facts.epochs == {"a": 1_700_001_000, "b": 1_700_002_000}
    assert [*facts.refused] == ["wrong.yaml"]
    promised = own_inputs(there)
    copy = copied(origin, monkeypatch)
    here = plan(copy, tmp_path / "other", facts)
    require_same(here.basis, facts)
    assert own_inputs(here) == promised
    assert [one.package.name for one in here.plan.steps] == ["a", "b"]
    # Without what is handed over, the same directory is another one.
    alone = plan(copy, tmp_path / "third")
    assert own_inputs(alone) != promised
    assert "wrong" in {one.package.name for one in alone.plan.steps}
    for one in (there, here, alone):
        one.basis.store.close()


def test_a_directory_that_is_another_one_is_refused(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = plan(origin, tmp_path / "store")
    facts = find_facts(there.basis)
    copy = copied(origin, monkeypatch)
    (copy / "a.yaml").write_text(text("a") + "# changed\n")
    here = plan(copy, tmp_path / "other", facts)
    with pytest.raises(UsageError, match="not what was planned"):
        require_same(here.basis, facts)
    for one in (there, here):
        one.basis.store.close()


def test_settings_that_are_left_out_of_a_bundle_are_missed(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (origin / "dag.toml").write_text('[melange]\npackage-append = ["busybox"]\n')
    there = plan(origin, tmp_path / "store")
    facts = find_facts(there.basis)
    copy = copied(origin, monkeypatch)
    require_same(plan(copy, tmp_path / "other", facts).basis, facts)
    (copy / "dag.toml").unlink()
    with pytest.raises(UsageError, match="not what was planned"):
        require_same(plan(copy, tmp_path / "third", facts).basis, facts)
    there.basis.store.close()
