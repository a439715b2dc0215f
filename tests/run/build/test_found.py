"""What melange finds that a package needs, and no definition names, is there for who installs it."""

from __future__ import annotations

import json

from tests.support.builds import Make, definition, run

BIN = '"${{targets.destdir}}/usr/bin"'
SCRIPTS = definition(
    "scripts",
    runs=f"mkdir -p {BIN}\nprintf '#!/usr/bin/zfoo\\n' >{BIN}/run-z\nchmod 755 {BIN}/run-z",
)
ZTOOL = definition("ztool", "three", runs=f"mkdir -p {BIN}\ncp /bin/busybox {BIN}/zfoo")
APP = definition("app", "scripts", runs="test -x /usr/bin/zfoo")


def test_a_unit_waits_for_what_a_package_turned_out_to_need(make: Make) -> None:
    # What comes before ztool takes longer than what comes before app.
    before = {
        "one": definition("one"),
        "two": definition("two", "one"),
        "three": definition("three", "two"),
    }
    place = make(scripts=SCRIPTS, ztool=ZTOOL, app=APP, **before)
    code, out, said = run(place, "-j", "3", "--json")
    assert code == 0, said
    assert "app waits: scripts turned out to need cmd:zfoo at run time" in said
    attempts = {unit["name"]: unit["attempts"] for unit in json.loads(out)["units"]}
    assert attempts == {"app": 2, "one": 1, "scripts": 1, "three": 1, "two": 1, "ztool": 1}
    code, _, said = run(place, "--rebuild", "app", "app")
    assert code == 0, said


def test_what_nothing_gives_is_said(make: Make) -> None:
    place = make(scripts=SCRIPTS, app=APP, last=definition("last", "app"))
    code, _, said = run(place)
    assert code == 1
    what = "scripts turned out to need cmd:zfoo at run time, which no package gives that is here"
    assert f"FAILED app 1-r0: {what}" in said
    assert "1 package blocked by app: last" in said
