"""A cycle that a repository opens, and a second round with what the store has then, with real melange."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.apks import file_in
from tests.support.builds import Make, definition, new_key, run

SHARE = '"${{targets.destdir}}/usr/share/torture'


def states(out: str) -> dict[str, str]:
    return {unit["name"]: unit["state"] for unit in json.loads(out)["units"]}


def test_a_second_round_builds_with_our_own_package_and_a_third_changes_nothing(
    make: Make, empty: Path, tmp_path: Path
) -> None:
    # Somebody has built egg before, without hen.
    place = make(egg=definition("egg", runs=f'echo old >{SHARE}/mark"'))
    key = new_key(tmp_path)
    code, _, said = run(place, "--store", str(tmp_path / "first"), "--signing-key", str(key))
    assert code == 0, said
    make(
        egg=definition("egg", "hen", version="2", runs=f'echo new >{SHARE}/mark"'),
        hen=definition("hen", "egg", runs=f'cp /usr/share/torture/mark {SHARE}/seen"'),
        chick=definition("chick", "egg"),
    )
    (place / "dag.toml").write_text(
        f'repository = ["{empty}/bootstrap", "{tmp_path}/first"]\n'
        f'keyring = ["{empty}/bootstrap/bootstrap.rsa.pub", "{key}.pub"]\n'
    )

    def seen() -> bytes:
        return file_in(place / "packages/x86_64/hen-1-r0.apk", "usr/share/torture/seen")

    code, _, said = run(place)
    assert code == 0, said
    assert "hen is built with the repository's egg" in said
    assert seen() == b"old\n"

    code, out, said = run(place, "--rebuild", "cycle", "--dry-run")
    assert code == 0, said
    assert "  hen 1-r0: second round (egg)\n" in out
    code, out, said = run(place, "--rebuild", "cycle", "--json")
    assert code == 0, said
    assert states(out) == {"hen": "done"}
    assert seen() == b"new\n"
    code, _, said = run(place, "--rebuild", "cycle")
    assert (code, "0 packages to build for x86_64, 3 there already" in said) == (0, True), said

    # What is built with hen follows if it is asked for, and hen stays as the second round made it.
    code, out, said = run(place, "--rebuild", "dependents", "--json")
    assert code == 0, said
    assert "hen is built with the store's egg" in said
    assert states(out) == {"hen": "unchanged", "egg": "done", "chick": "unchanged"}
    for words in (["--rebuild", "dependents"], ["--rebuild", "cycle"], []):
        code, out, said = run(place, "--json", *words)
        assert code == 0, said
        assert "done" not in states(out).values()
        assert seen() == b"new\n"
