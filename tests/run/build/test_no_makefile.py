"""A directory without a Makefile is built by rules of dag's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builds import apks, definition, run


@pytest.fixture
def place(empty: Path, tmp_path: Path) -> Path:
    place = tmp_path / "no makefile $x"
    (place / "pipelines").mkdir(parents=True)
    (place / "pipelines/say.yaml").write_text("pipeline: [{runs: echo said}]\n")
    (place / "dag.toml").write_text(
        f'repository = ["{empty}/bootstrap"]\nkeyring = ["{empty}/bootstrap/bootstrap.rsa.pub"]\n'
    )
    files = {
        "base-r1": definition("base-r1", runs="test -e ./file", version="1.0_rc1"),
        "melange": definition("my+app.c++", "base-r1", runs="test -e /usr/share/torture/base-r1"),
        "app": definition("app", "my+app.c++", extra="  target-architecture: [x86_64]\n"),
    }
    for name, text in files.items():
        (place / f"{name}.yaml").write_text(text + "  - uses: say\n")
    (place / "base-r1").mkdir()
    (place / "base-r1/file").write_text("x")
    return place


APKS = ["app-1-r0.apk", "base-r1-1.0_rc1-r0.apk", "my+app.c++-1-r0.apk"]


def test_it_is_built_as_with_a_makefile(place: Path) -> None:
    code, out, said = run(place, command="text")
    assert out.split() == [f"packages/x86_64/{APKS[number]}" for number in (1, 2, 0)], said
    code, _, said = run(place, "app", "melange.yaml", "packages/x86_64/app-1-r0.apk")
    assert code == 0, said
    assert apks(place) == APKS
    assert not (place / "Makefile").exists()
    code, _, said = run(place, "--rebuild", "app", "app")
    assert "1 package to build for x86_64" in said


def test_what_it_cannot_do_is_said(place: Path) -> None:
    code, _, said = run(place, "--target-template", "package/{name}")
    assert code == 2
    assert "has no Makefile that could have a rule for package/{name}" in said


def test_words_of_dag_toml_reach_melange(place: Path) -> None:
    (place / "app.yaml").write_text(
        definition("app", runs="test -e /usr/share/torture/base-r1\ntest -e ./app.yaml")
    )
    with (place / "dag.toml").open("a") as file:
        file.write('[melange]\npackage-append = ["base-r1"]\n[make]\nSOURCE_DIR = "."\n')
    code, _, said = run(place, "base-r1")
    assert code == 1, said
    assert "base-r1 needs base-r1 at dag.toml:4, appended" in said  # melange does so, too
    (place / "dag.toml").write_text((place / "dag.toml").read_text().replace("base-r1", "busybox"))
    code, _, said = run(place, "base-r1", "--make-var", "SOURCE_DIR=base-r1")
    assert code == 0, said
    (place / "dag.toml").write_text((place / "dag.toml").read_text().replace("busybox", "base-r1"))
    code, _, said = run(place, "--only", "app")
    assert code == 0, said


@pytest.mark.parametrize(
    "stem",
    [
        "a b",
        "$(shell exit 1)$$HOME",
        "`false`",
        "a';false;'b",
        'a";false;"b',
        'a\\"b',
        "-x",
        "é#1=2%,3",
    ],
)
def test_no_name_of_a_file_is_read_by_make_or_a_shell(place: Path, stem: str) -> None:
    (place / f"{stem}.yaml").write_text(definition("odd"))
    code, _, said = run(place, "odd")
    assert code == 0, said
    assert apks(place) == ["odd-1-r0.apk"]
