"""Packages that are built twice, with real melange."""

from __future__ import annotations

import json
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.options import BuildOptions
from dag.core.build.states import RunLimits
from dag.core.build.twice import second_of
from dag.core.store.records import Built, Record
from dag.io.store.local import Store
from dag.run.build.builder import Builder
from dag.run.build.planning import plan_in
from dag.run.build.resolving import UnitResolver
from tests.support.apks import file_in, make_apk, read
from tests.support.builds import Make, apks, definition, leftovers, run

RANDOM = 'mkdir -p "${{targets.destdir}}/usr"\nod -N8 -tx1 /dev/urandom >"${{targets.destdir}}/usr/random"'


def test_what_comes_out_differently_is_told_with_the_file_and_fails_the_command(make: Make) -> None:
    seen = 'mkdir -p "${{targets.destdir}}/usr"\ncp /usr/random "${{targets.destdir}}/usr/seen"'
    place = make(same=definition("same", "odd", runs=seen), odd=definition("odd", runs=RANDOM))
    dry = run(place, "--twice", "--dry-run")[1]
    assert "  odd 1-r0: missing\n" in dry
    assert "  odd 1-r0: built again, to compare\n" in dry
    code, out, said = run(place, "--twice", "--json", "--junit", "j.xml", "--markdown", "m.md")
    assert code == 1, said
    body = json.loads(out)
    units = {unit["name"]: unit for unit in body["units"]}
    assert body["exit_code"] == 1
    assert [unit["state"] for unit in units.values()] == ["done", "done"]
    assert {name: unit["results"] for name, unit in units.items()} == {"odd": 2, "same": 1}
    assert units["same"]["second"] == {"state": "done", "cause": "", "differences": []}
    (line,) = units["odd"]["second"]["differences"]
    assert line.startswith("odd-1-r0.apk: ")
    assert "usr/random has another content" in line
    assert "dag: built same 1-r0 again in " in said
    assert "  [4/4]\n" in said  # second builds count
    assert "dag: odd is not reproducible: what went into it gave 2 different results" in said
    assert "dag: 2 built, 1 not reproducible in" in said
    assert "usr/random has another content" in (place / "j.xml").read_text()
    assert "### odd 1-r0 is not reproducible" in (place / "m.md").read_text()
    log = (place / "packages/logs/x86_64/same.log").read_text()
    assert log.count("dag: second build, attempt 1\n") == 1
    assert apks(place) == ["odd-1-r0.apk", "same-1-r0.apk"]
    assert leftovers(place) == []

    # The first result is the one that is published, and that what needs it is built with.
    random = file_in(place / "packages/x86_64/odd-1-r0.apk", "usr/random")
    assert file_in(place / "packages/x86_64/same-1-r0.apk", "usr/seen") == random
    code, _, said = run(place, "--twice")
    assert (code, "2 there already" in said) == (0, True), said


def test_what_is_there_is_built_twice_if_it_is_named(make: Make) -> None:
    place = make(a=definition("a"))
    assert run(place)[0] == 0
    code, out, said = run(place, "--twice", "--rebuild", "a", "--json")
    assert code == 0, said
    assert [unit["second"]["state"] for unit in json.loads(out)["units"]] == ["done"]


def test_a_second_build_gets_what_the_first_one_got_whatever_is_there_by_then(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "definitions"
    directory.mkdir()
    (directory / "Makefile").write_text("package/%:\n\tmelange build ${MELANGE_EXTRA_OPTS}\n")
    for name, needs in {"a": "[b]", "b": "[]"}.items():
        (directory / f"{name}.yaml").write_text(
            f"package: {{name: {name}, version: 1, epoch: 0}}\n"
            f"environment: {{contents: {{packages: {needs}}}}}\npipeline: []\n"
        )
    store = Store(tmp_path / "store", Arch.parse("x86_64"))
    store.prepare()
    options = BuildOptions(directory=str(directory), store=str(store.root), twice=True)
    build = plan_in(store, options, lambda _: None, Builder(RunLimits(jobs=1), "", "store"))
    units = UnitResolver(build)

    def finish(name: str, content: bytes) -> Record:
        apk = read(make_apk(tmp_path / f"{name}-1-r0.apk", name, data=content))
        record = Record(
            name=name, version="1-r0", key="0" * 64, fingerprint="", seconds=0, built=(Built(apk=apk),)
        )  # fmt: skip
        units.finish(record)
        return record

    assert [unit.key for unit in build.plan.units] == ["b", "a", "b again", "a again"]
    b = finish("b", b"1")
    first = units.resolve("a")
    finish("b", b"2")
    a = finish("a", b"")
    second = units.resolve(second_of("a"))
    assert second.inputs == first.inputs
    assert [one.apk for one in second.given.values()] == [b.built[0].apk]
    assert (first.first, second.first) == (None, a)
    assert units.same(second) is None
    store.close()
