"""A unit's key: it changes with what goes into the unit, and with nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dag.core.arch import Arch
from dag.core.build.inputs import UnitInputs
from dag.core.build.options import BuildOptions
from dag.core.build.scripts import MakeVariables
from dag.core.package.apkindex import IndexEntry, PackageRepository
from dag.core.shell import ShellScript
from dag.core.store.records import Built, Record
from dag.run.build.inputs import find_epochs, shared_inputs
from dag.run.build.start import plan_build
from tests.support.apks import told
from tests.support.gitrepos import commit, git

X86 = Arch.parse("x86_64")
TEXT = """\
package: {{name: {name}, version: "1", epoch: 0}}
environment:
  contents:
    packages: [busybox, {needs}]
pipeline:
  - uses: fetch
    with: {{uri: https://example.com/{name}, expected-sha256: {digest}}}
  - uses: {uses}
"""


def text(name: str, needs: str = "z", uses: str = "own", digest: str = "0" * 64) -> str:
    return TEXT.format(name=name, needs=needs, uses=uses, digest=digest)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    place = tmp_path / "distribution"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    files = {
        "Makefile": "include rules.mk\nall:\n\tcat table\n",
        "rules.mk": "package/%:\n\tmelange build --signing-key $(KEY) $(MELANGE_EXTRA_OPTS)\n",
        "table": "1",
        "README.md": "1",
        "a.yaml": text("a"),
        "b.yaml": text("b", uses="other"),
        "a__patch": "1",
        "pipelines__own.yaml": "pipeline: [{runs: 'true'}]",
        "pipelines__other.yaml": "pipeline: [{runs: 'true'}]",
    }
    commit(place, 1, **files)
    return place


def read(
    place: Path,
    script: str = "script",
    listed: Sequence[IndexEntry] = (),
    version: str = "0.56.0",
    **variables: object,
) -> UnitInputs:
    basis = plan_build(BuildOptions(directory=str(place)), print).basis
    given = {"arch": X86, "source_date_epoch": 0, "cache_dir": str(place), **variables}
    variables_given = MakeVariables(**given)  # type: ignore[arg-type]
    return UnitInputs(
        basis.graph,
        shared_inputs(basis.parts, variables_given, ShellScript(script, ()), version),
        fingerprints=basis.fingerprints,
        epochs=find_epochs(basis, basis.graph.packages),
        repository=lambda _: PackageRepository(listed),
    )


def built(name: str, digest: str) -> Built:
    return Built(apk=told(name, sha256=digest * 64))


def key(inputs: UnitInputs, name: str = "a", digest: str = "1") -> str:
    (package,) = (one for one in inputs._graph.packages if one.name == name)
    return inputs.of(package, {"z": built("z", digest)}).key


def test_what_a_repository_gives_is_part_of_the_key_and_nothing_else_of_it(place: Path) -> None:
    def listed(version: str, letter: str, more: str = "") -> list[IndexEntry]:
        checksum = f"Q1{letter * 27}="
        one = IndexEntry("z", version, "z", (), (), checksum=checksum, repository="https://r.x")
        return [one, *([replace(one, name=more)] if more else [])]

    def key_of(*words: str) -> str:
        inputs = read(place, listed=listed(*words))
        (package,) = (one for one in inputs._graph.packages if one.name == "a")
        others = {need.name for need in package.environment} - {"z"}
        stanza = "".join(f"P:{name}\nV:1-r0\n\n" for name in sorted(others))
        busybox = built("busybox", "1")
        apk = replace(busybox.apk, stanza=stanza)
        return inputs.of(package, {"busybox": msgspec.structs.replace(busybox, apk=apk)}).key

    first = key_of("1-r0", "A")
    assert key_of("1-r0", "A", "other") == first
    assert len({first, key_of("2-r0", "A"), key_of("1-r0", "B"), key(read(place))}) == 4


Change = Callable[[Path], None]


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": "2"},
        {"b.yaml": text("b", needs="y")},
        {"b__patch": "2"},
        {"pipelines__other.yaml": "pipeline: [{runs: 'false'}]"},
        {"a.yaml": text("a")},
        {"new.yaml": text("new")},
        {"docs__page": "2"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_what_is_another_s_or_nobody_s_changes_no_key(place: Path, files: dict[str, str]) -> None:
    before = read(place)
    commit(place, 5, **files, nothing="2")
    after = read(place)
    assert key(after) == key(before)
    assert after.epoch("a") == before.epoch("a") == 1_700_000_001


@pytest.mark.parametrize(
    "files",
    [
        {"a.yaml": text("a", needs="z, y")},
        {"a.yaml": text("a", digest="1" * 64)},  # a source
        {"a__patch": "2"},
        {"a__new": "2"},
        {"pipelines__own.yaml": "pipeline: [{runs: 'false'}]"},
        {"Makefile": "include rules.mk\nall:\n\tcat  table\n"},
        {"rules.mk": "package/%:\n\tmelange build $@ --signing-key $(KEY) $(MELANGE_EXTRA_OPTS)\n"},
        {"table": "2"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_a_byte_of_its_own_changes_the_key_committed_or_not(
    place: Path, files: dict[str, str]
) -> None:
    before = read(place)
    for name, content in files.items():
        (place / name.replace("__", "/")).write_text(content)
    assert key(read(place)) != key(before)
    commit(place, 5, **files)
    after = read(place)
    assert key(after) != key(before)
    assert after.epoch("a") == 1_700_000_005


def test_so_does_a_package_of_its_environment_and_what_make_is_told(place: Path) -> None:
    inputs = read(place)
    keys = {key(inputs), key(inputs, digest="2"), key(read(place, script="another"))}
    keys |= {key(read(place, more=("A=1",))), key(read(place, build_options=("x",)))}
    (package,) = (one for one in inputs._graph.packages if one.name == "a")
    keys.add(inputs.of(package, {"z": built("z", "1")}, dropped=["z"]).key)
    keys.add(inputs.of(package, {}).key)
    keys.add(key(read(place, version="0.57.0")))
    assert len(keys) == 8


def test_nothing_of_this_machine_changes_it(place: Path, tmp_path: Path) -> None:
    before = key(read(place, key="/home/me/my.rsa", melange="/usr/bin/melange"))
    moved = tmp_path / "elsewhere"
    shutil.copytree(place, moved, symlinks=True)
    assert key(read(moved, key="/root/my.rsa", melange="/opt/melange")) == before


def test_in_a_shallow_clone_the_time_is_that_of_the_last_record(
    place: Path, tmp_path: Path
) -> None:
    commit(place, 5, b__patch="2")
    commit(place, 6, nothing="2")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{place}", str(clone))
    inputs = read(clone)
    assert inputs.epoch("a") == 1_700_000_006
    basis = plan_build(BuildOptions(directory=str(clone)), print).basis
    basis.store.prepare()
    record = Record(
        name="a",
        version="1-r0",
        key="0" * 64,
        fingerprint=basis.fingerprints["a"],
        epoch=1_700_000_001,
        seconds=1,
        built=(),
    )
    basis.store.objects.create(f"records/x86_64/a/{record.key}/{record.result}.json", b"")
    path = basis.store.state / f"records/x86_64/a/{record.key}/{record.result}.json"
    path.unlink()
    path.write_bytes(msgspec.json.encode(record))
    assert read(clone).epoch("a") == 1_700_000_001
    assert read(clone).epoch("b") == 1_700_000_006


def test_the_variable_goes_before_all_that(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "7")
    assert read(place).epoch("a") == 7
