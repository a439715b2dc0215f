"""A package that comes out the same stops what is built again, with real melange."""

from __future__ import annotations

import json

from tests.support.builds import Make, apks, definition, run
from tests.torture.distribution import index

COMMENT = "# a comment that changes nothing\n"


def states(out: str) -> dict[str, tuple[str, str]]:
    return {unit["name"]: (unit["state"], unit["reason"]) for unit in json.loads(out)["units"]}


def test_a_dependency_that_comes_out_the_same_stops_the_wave(make: Make) -> None:
    units = {"a": definition("a"), "b": definition("b", "a"), "c": definition("c", "b")}
    place = make(**units)
    assert run(place)[0] == 0
    words = ["--rebuild", "dependents", "--json"]
    code, out, said = run(place, *words)
    assert code == 0, said
    assert "0 packages to build for x86_64, 3 there already" in said
    assert "skipped a 1-r0: unchanged" in run(place, "--rebuild", "dependents", "--dry-run")[1]

    make(**{**units, "a": COMMENT + units["a"]})
    code, out, said = run(place, *words)
    assert code == 0, said
    assert states(out) == {
        "a": ("done", "definition changed"),
        "b": ("unchanged", "dependency rebuilt"),
        "c": ("unchanged", "dependency rebuilt"),
    }
    assert "dag: 1 built, 2 unchanged in" in said

    # Without the flag only what changed is built; the next run with it makes up for the rest.
    make(**{**units, "a": definition("a", runs="echo 2 >&2; touch ${{targets.destdir}}/two")})
    assert run(place)[0] == 0
    code, out, said = run(place, *words)
    assert states(out) == {
        "b": ("done", "inputs changed"),
        "c": ("unchanged", "dependency rebuilt"),
    }, said

    # What was turned back has its record.
    make(**units)
    code, out, said = run(place, *words)
    assert code == 0, said
    assert all(state == "unchanged" for state, _ in states(out).values()), out
    assert apks(place) == index(place / "packages") == ["a-1-r0.apk", "b-1-r0.apk", "c-1-r0.apk"]


def test_a_package_that_comes_out_differently_each_time_is_told(make: Make) -> None:
    random = 'od -N8 -tx1 /dev/urandom >"${{targets.destdir}}/random"'
    place = make(a=definition("a", runs=random))
    assert run(place)[0] == 0
    code, out, said = run(place, "--rebuild", "a", "--json")
    assert code == 0, said
    assert "dag: a is not reproducible: what went into it gave 2 different results" in said
    assert [unit["results"] for unit in json.loads(out)["units"]] == [2]
    # The one that is published counts, and not another one.
    published = (place / "packages/x86_64/a-1-r0.apk").read_bytes()
    code, _, said = run(place, "--rebuild", "dependents")
    assert "1 there already" in said, said
    assert (place / "packages/x86_64/a-1-r0.apk").read_bytes() == published
