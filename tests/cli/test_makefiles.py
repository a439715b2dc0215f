"""A Makefile that cannot build the packages is told of before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_graph_commands import define
from tests.cli.test_pod import dag

NO_RULE = (
    "the Makefile has no rule for packages/x86_64/one-1.10-r2.apk: if its targets have other names,"
    " say how they look with --target-template; see docs/makefiles.md"
)
BLANKS = (
    "Makefile:2: this line begins with blanks, and a recipe must begin with a tab, so make will"
)
INCLUDES = (
    "Makefile:1: this line includes rules.mk, which is not there, and no rule makes it, so make"
)
POD = ("pod", "--create=false", "--push=false", "--bundle-repo=r.example.com/dag")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("all:\n\techo hi\n", NO_RULE),
        ("package/%:\n        melange build $*.yaml\n", BLANKS),
        ("include rules.mk\npackage/%:\n\tmelange build $*.yaml\n", INCLUDES),
        ("package/%:\n\techo $*.yaml\n", ""),
    ],
)
def test_it_is_said_by_plans(tmp_path: Path, text: str, told: str) -> None:
    define(tmp_path, "one", "[]")
    (tmp_path / "Makefile").write_text(text)
    # Where everything is asked for, a pod makes `all`.
    for words in (("build", "--dry-run"), (*POD, "one"), *([POD] if told != NO_RULE else [])):
        done = dag(*words, place=tmp_path)
        assert done.returncode == 0, done.stderr
        assert not told or f"dag: {told}" in done.stderr
        assert ("the Makefile has no rule for" in done.stderr) == (told == NO_RULE)
        assert ("so make will stop" in done.stderr) == (told not in ("", NO_RULE))


@pytest.mark.parametrize("command", [("build", "--dry-run"), POD, ("text",)])
def test_a_makefile_that_is_no_file_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    define(tmp_path, "one", "[]")
    (tmp_path / "Makefile").symlink_to("nowhere")
    done = dag(*command, place=tmp_path)
    assert done.returncode == 2
    assert (
        "Makefile is a link that leads nowhere, and make takes it for the Makefile" in done.stderr
    )
