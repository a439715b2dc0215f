"""What the Makefile tells melange reaches the units of `dag build`, and is part of what they are."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from tests.support.builds import apks, definition, run
from tests.support.gitrepos import commit, git

MAKEFILE = """\
$(KEY):
\t$(MELANGE) keygen $(KEY)
package/%: $(KEY)
\tmkdir -p $*
\t$(MELANGE) build $*.yaml FLAGS --arch $(ARCH) --signing-key $(KEY) --source-dir ./$*/ \\
\t  --repository-append $(REPO) --keyring-append $(KEY).pub $(MELANGE_EXTRA_OPTS)
"""


@pytest.fixture
def place(empty: Path, tmp_path: Path) -> Path:
    (tmp_path / "dag.toml").write_text(
        f'repository = ["{empty}/bootstrap"]\nkeyring = ["{empty}/bootstrap/bootstrap.rsa.pub"]\n'
    )
    return tmp_path


def write(place: Path, flags: str, **definitions: str) -> None:
    (place / "Makefile").write_text(MAKEFILE.replace("FLAGS", flags))
    for name, text in definitions.items():
        (place / f"{name}.yaml").write_text(text)


def reasons(place: Path) -> list[str]:
    out = run(place, "--dry-run")[1]
    return [line.strip() for line in out.splitlines() if line.startswith("  ")]


def test_what_is_appended_is_built_first_and_is_there(place: Path) -> None:
    flags = "$(if $(filter basics,$*),,--package-append basics)"
    app = definition("app", runs="test -e /usr/share/torture/basics")
    write(place, flags, app=app, basics=definition("basics"))
    code, _, err = run(place, "app")
    assert code == 0, err
    assert apks(place) == ["app-1-r0.apk", "basics-1-r0.apk"]


@pytest.mark.parametrize("melange", ["basics,$$(true)", "$(shell echo basics)"])
def test_the_words_of_dag_toml_stand_for_what_only_make_can_tell(place: Path, melange: str) -> None:
    flags = f"$(if $(filter basics,$*),,--package-append {melange})"
    app = definition("app", runs="test -e /usr/share/torture/basics")
    write(place, flags, app=app, basics=definition("basics"))
    with (place / "dag.toml").open("a") as file:
        file.write('[melange]\npackage-append = ["basics"]\n')
    code, _, err = run(place, "app")
    assert code == 0, err
    assert "only make can tell" not in err


def test_what_dag_toml_says_reaches_melange_if_the_makefile_says_nothing(place: Path) -> None:
    app = definition("app", "one", runs="test -e /usr/share/torture/${{vars.what}}")
    app += "vars: {what: none}\n"
    one = definition("one", runs="true") + "vars: {}\n"
    write(place, "", app=app, one=one)
    (place / "all.vars").write_text("what: one\n")
    with (place / "dag.toml").open("a") as file:
        file.write('[melange]\nvars-file = "all.vars"\n')
    code, _, err = run(place, "app")
    assert code == 0, err


def test_the_file_of_variables_and_pipelines_are_part_of_a_unit(place: Path) -> None:
    app = definition("app", runs="test ${{vars.what}} = right") + "vars: {what: wrong}\n"
    other = definition("other") + "vars: {}\n"
    app = app.replace("vars: {what", "  - uses: say/it\nvars: {what")
    write(place, "--vars-file other/all.vars --pipeline-dirs other/p,none", app=app, other=other)
    # They lie in the folder of another package, which `app` does not get otherwise.
    (place / "other/p/say").mkdir(parents=True)
    (place / "other/p/say/it.yaml").write_text("pipeline: [{runs: echo said}]\n")
    (place / "other/all.vars").write_text("what: right\n")
    code, _, err = run(place)
    assert code == 0, err
    assert reasons(place) == []
    (place / "other/p/say/it.yaml").write_text("pipeline: [{runs: echo other}]\n")
    assert "app 1-r0: definition changed" in reasons(place)
    code, _, err = run(place)
    assert code == 0, err
    (place / "other/all.vars").write_text("what: wrong\n")
    assert sorted(reasons(place)) == [
        "app 1-r0: definition changed",
        "other 1-r0: definition changed",
    ]
    code, _, err = run(place)
    assert code == 1
    assert "FAILED app" in err
    assert "other 1-r0 in" in err


def test_a_pipeline_outside_of_the_directory_is_part_of_a_unit(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = tmp_path_factory.mktemp("shared")
    (shared / "it.yaml").write_text("pipeline: [{runs: echo said}]\n")
    write(place, f"--pipeline-dirs {shared}", app=definition("app") + "  - uses: it\n")
    code, _, err = run(place)
    assert code == 0, err
    (shared / "it.yaml").write_text("pipeline: [{runs: echo more}]\n")
    assert reasons(place) == ["app 1-r0: definition changed"]


@pytest.mark.parametrize(("flags", "said"), [("", "unknown"), ("--git-commit=abc", "abc")])
def test_the_checkout_around_the_store_is_no_input(place: Path, flags: str, said: str) -> None:
    git(place, "init", "-q")
    (place / ".gitignore").write_text("packages/\n*.rsa*\n")
    write(place, flags, app=definition("app"))
    commit(place, 1)
    assert run(place, "app")[0] == 0
    git(place, "commit", "-q", "--allow-empty", "-m", "x", time=2)
    code, _, err = run(place, "app", "--rebuild", "all")
    assert code == 0, err
    assert "not reproducible" not in err
    index = gzip.decompress((place / "packages/x86_64/APKINDEX.tar.gz").read_bytes())
    assert re.findall(rb"\nc:(.*)\n", index) == [said.encode()]
