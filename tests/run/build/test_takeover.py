"""A store that an older `dag` left is gone on with: nothing is built again, and the key moves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support.builds import SHARE, Make, apks, definition, run
from tests.support.oldstores import make_old
from tests.torture.distribution import index


def test_nothing_is_built_again_and_what_it_has_is_built_with(make: Make) -> None:
    place = make(a=definition("a"), b=definition("b", "a"))
    assert run(place)[0] == 0
    store = place / "packages"
    (key,) = Path(os.environ["XDG_DATA_HOME"]).glob(
        f"dag/keys/{(store / '.dag/id').read_text()}/*.rsa"
    )
    old_key = store / ".dag/key/melange.rsa"
    shutil.move(key, old_key)
    make_old(store)
    signed = (store / "x86_64/APKINDEX.tar.gz").read_bytes()

    code, _, said = run(place, "--from", str(store), "--store", str(place / "other"))
    assert code == 2
    assert "was written by an older dag" in said
    code, out, said = run(place, "--dry-run")
    assert code == 0, said
    assert "skipped a 1-r0: in the store" in out
    code, _, said = run(place)
    assert code == 0, said
    assert "0 packages to build for x86_64, 2 there already" in said
    assert (store / "x86_64/APKINDEX.tar.gz").read_bytes() == signed
    assert f"lay in {old_key}, beside what is published" in said
    assert not old_key.exists()

    make(
        a=definition("a"),
        b=definition("b", "a"),
        c=definition("c", "b", runs=f"test -s {SHARE}/b"),
    )
    code, _, said = run(place)
    assert code == 0, said
    assert apks(place) == index(store) == ["a-1-r0.apk", "b-1-r0.apk", "c-1-r0.apk"]
    assert (store / "logs/x86_64/a.log").read_text() == "an old log\n"
    assert "dag: end of log" in (store / "logs/x86_64/c.log").read_text()
