"""What make is told by a build, and what the end of its log tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dag.core.arch import Arch
from dag.core.build.scripts import MakeVariables, build_script, read_trailer
from dag.core.package.makeassignments import split_assignment
from dag.core.package.makefile import GIVEN, KeyMaker, read_makefile
from dag.core.package.makesource import MakefilePart, MakefileText
from dag.core.package.melangeflags import MelangeFlags
from dag.errors import UsageError
from tests.support.scripts import VARIABLES


def test_the_users_assignments_win_over_ours() -> None:
    words = MakeVariables(
        arch=Arch.parse("arm64"),
        source_date_epoch=1700000000,
        cache_dir="/c",
        more=["MELANGE=/opt/melange", "X=a=b"],
    ).words()
    assert {"MELANGE=/opt/melange", "ARCH=aarch64", "SOURCE_DATE_EPOCH=1700000000"} < set(words)
    assert "X=a=b" in words
    assert len({word.partition("=")[0] for word in words}) == len(words)


def test_what_reads_a_makefile_knows_all_variables_that_a_build_sets() -> None:
    names = {word.partition("=")[0] for word in VARIABLES.words()}
    assert names == GIVEN.keys()
    for name in names:
        call = f"melange build $*.yaml --build-option=a$({name})b"
        text = MakefileText(
            f"{name} := other\npackage/%:\n\t{call}\n", (MakefilePart(1, "Makefile", 1),)
        )
        flags = MelangeFlags(read_makefile(text.text), text, arch=VARIABLES.arch)
        (option,) = flags.resolution("x").build_options
        assert option != "aotherb", name


@pytest.mark.parametrize("text", ["", "=x", "NAME", "A B=1", "A:=1", "A=1\n2", "A=\0"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        split_assignment(text)


def test_a_line_break_in_a_path_is_refused() -> None:
    variables = replace(VARIABLES, repositories=["./a\nall"])
    with pytest.raises(UsageError, match="line break"):
        build_script(variables, key_maker=KeyMaker.NOBODY)


@pytest.mark.parametrize("line", ["dag: end of log: 1 lines", "x", "dag: end of log: a b c"])
def test_other_lines_are_no_trailer(line: str) -> None:
    assert read_trailer(line) is None
