"""What is told of a Makefile's rules is what make does with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dag.core.package.makefile import read_makefile
from dag.core.package.makerules import find_stop, known_targets

READ = {
    "a rule": "package/%:\n\techo $@\n",
    "several targets": "package/a package/b : c\nc:\n\techo $@\n",
    "grouped targets": "package/a other &:\n\techo $@\n",
    "any target": "%:\n\techo $@\n",
    "assignments": "A := b\nB = c\nC ?= d\nD += e\nE ::= f\nF != echo g\nexport A\nunexport B\nundefine C\n",
    "a line that goes on": "A = b \\\n   c\npackage/a: \\\n  c\nc:\n\techo \\\n    d\n",
    "a macro": "define M\nthis is no rule\nendef\nall:\n\techo $@\n",
    "a macro in a macro": "define M\ndefine N\nno rule\nendef\nno rule\nendef\nall:\n\techo $@\n",
    "a condition": "ifdef NOTHING\nthis is no rule\nelse\nA = b\nendif\nall:\n\techo $@\n",
    "a function": "$(info hello)\n$(if ,this is no rule)\nall:\n\techo $@\n",
    "a comment": "# no rule \\\n  no rule\n   # no rule\nall: # all\n\techo $@\n",
    "another prefix": ".RECIPEPREFIX = >\nall:\n>echo $@\n",
    "a search path": "vpath %.yaml .\nall:\n\techo $@\n",
    "a rule that is made": "$(eval package/a: ; echo hi)\n",
    "variables": "T = package/a\n$(T):\n\techo $@\n",
    "a static pattern": "L = package/a\n$(L): package/%: c\n\techo $@\nc:\n",
    "only all": "all:\n\techo hi\n",
    "nothing": "\n\n",
    "the wildcards of a shell": "package/[ab]:\n\techo $@\n",
    "the last resort": ".DEFAULT:\n\techo $@\n",
}
STOPPING = {
    "blanks for a tab": "package/%:\n        echo $@\n",
    "a word alone": "A = b\n\nhello\npackage/%:\n\techo $@\n",
    "a sentence": "this is no rule\n",
    "in no condition any more": "ifdef A\nno rule\nendif\nno rule\n",
}


def make(folder: Path, text: str, target: str) -> subprocess.CompletedProcess[str]:
    (folder / "Makefile").write_text(text)
    command = ["make", "-n", "--no-print-directory", target]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize("name", [*READ, *STOPPING])
def test_where_make_stops_is_known(name: str, tmp_path: Path) -> None:
    text = {**READ, **STOPPING}[name]
    found = find_stop(text)
    stops = [f"Makefile:{found.line}: *** missing separator"] if found else []
    said = make(tmp_path, text, "package/a").stderr.splitlines()
    assert [
        line.partition(".  ")[0].partition(" (did")[0] for line in said if "separator" in line
    ] == stops
    assert bool(found) == (name in STOPPING)


@pytest.mark.parametrize("target", ["package/a", "package/b", "all", "other"])
@pytest.mark.parametrize("name", READ)
def test_a_target_that_is_said_to_have_no_rule_has_none(
    name: str, target: str, tmp_path: Path
) -> None:
    known = known_targets(READ[name])
    if known is None:
        return
    done = make(tmp_path, READ[name], target)
    assert known.have(target) == ("No rule to make target" not in done.stderr)


def test_rules_whose_targets_the_text_does_not_tell_are_no_news() -> None:
    unknown = {name for name, text in READ.items() if known_targets(text) is None}
    assert unknown == {
        "a macro",
        "a macro in a macro",
        "another prefix",
        "a rule that is made",
        "variables",
        "a static pattern",
        "the wildcards of a shell",
        "the last resort",
    }  # fmt: skip


def test_targets_without_a_rule_are_told_in_one_line() -> None:
    makefile = read_makefile("all:\n\techo hi\n")
    assert makefile.target_notes(["all"]) == []
    (note,) = makefile.target_notes(["a.apk", "all", "b.apk"])
    assert note.startswith("the Makefile has no rule for a.apk and 1 more: ")
    assert "--target-template" in note
    assert read_makefile("package/%:\n\techo $@\n", "make-{name}").target_notes(["make-a"])
