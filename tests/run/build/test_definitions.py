"""What is wrong, or named otherwise, does not keep the rest from being built by real melange."""

from __future__ import annotations

import shutil

from tests.support.builds import Make, apks, definition, run
from tests.support.distributions import case


def test_what_is_sound_is_built_beside_what_is_not(make: Make) -> None:
    place = make(
        # What belongs to a broken definition is in nobody's workspace.
        good=definition("good", runs="test ! -e bad.yaml\ntest ! -e bad"),
        bad=definition("bad") + "  - uses: goreleaser/build\n",
        app=definition("app", "bad"),
        other=definition("other", extra="  target-architecture: [arm64]\n"),
        late=definition("late", runs="true", extra="  dependencies: {runtime: [other]}\n"),
        last=definition("last", "late"),
    )
    makefile = (place / "Makefile").read_text()
    (place / "Makefile").write_text(makefile.replace("--source-dir ./$(1)/", ""))
    (place / "bad").mkdir()
    (place / "bad" / "patch").write_text("x")
    code, _, said = run(place)
    assert code == 1, said  # because of what is not for this machine
    assert apks(place) == ["good-1-r0.apk", "late-1-r0.apk"]
    assert "last; late needs other at late.yaml:2, but other.yaml:2 is not for x86_64" in said
    (place / "other.yaml").unlink()
    (place / "last.yaml").unlink()
    code, _, said = run(place)
    assert code == 0, said
    assert "app needs bad at app.yaml" in said
    code, _, said = run(place, "app")
    assert code == 2, said


def test_the_target_of_a_file_of_another_name_is_built(make: Make) -> None:
    place = make()
    for file in case("file-name").iterdir():
        shutil.copy(file, place)
    code, _, said = run(place, "melange.yaml")
    assert code == 0, said
    assert apks(place) == ["myapp-1.0-r0.apk"]


def test_a_definition_named_pipelines_takes_the_pipelines_from_nobody(make: Make) -> None:
    place = make(
        good=definition("good") + "  - uses: local\n",
        thief=definition("pipelines"),
        app=definition("app", "pipelines"),
    )
    (place / "pipelines").mkdir()
    (place / "pipelines/local.yaml").write_text("pipeline:\n  - runs: 'true'\n")
    local = "MELANGE_EXTRA_OPTS=--pipeline-dirs ./pipelines"
    code, _, said = run(place, "--make-var", local, "good")
    assert code == 0, said
    assert "thief.yaml:2: 'pipelines' is reserved" in said
    code, _, said = run(place, "app")
    assert code == 2, said
    assert "app needs pipelines" in said
