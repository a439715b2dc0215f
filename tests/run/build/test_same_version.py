"""A definition that changes without a new version is said, and refused with --strict."""

from __future__ import annotations

import json

from tests.support.builds import Make, definition, run


def test_a_change_under_the_same_version_is_said(make: Make) -> None:
    place = make(a=definition("a"), b=definition("b"))
    code, _, said = run(place, "--strict")
    assert code == 0, said
    assert "same version" not in said
    (place / "a.yaml").write_text(definition("a", runs="true # more"))
    what = "1 definition changed since the package was built, under the same version: a"
    for words in ((), ("--rebuild", "a"), ("a",)):
        code, out, said = run(place, "--dry-run", "--json", *words)
        assert code == 0, said
        assert f"dag: {what}; raise package.epoch" in said
        assert json.loads(out)["same_version"] == ["a"]
    code, _, said = run(place, "--strict")
    assert code == 2
    assert what in said
    code, _, said = run(place, "--strict", "b")  # which is not concerned
    assert code == 0, said
    (place / "a.yaml").write_text((place / "a.yaml").read_text().replace("epoch: 0", "epoch: 1"))
    code, _, said = run(place, "--strict", "--dry-run")
    assert (code, "same version" in said) == (0, False)
    (place / "a.yaml").write_text((place / "a.yaml").read_text().replace("epoch: 1", "epoch: 0"))
    code, _, said = run(place)
    assert code == 0, said
    assert what in said
    assert "same version" not in run(place, "--dry-run")[2]
