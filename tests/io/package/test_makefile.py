"""The Makefile beside the definitions is found as make would find it."""

import os
import subprocess
from pathlib import Path

import pytest

from dag.core.package.makefile import NAME_TEMPLATE
from dag.core.package.maketext import MakeText
from dag.errors import UsageError
from dag.io.package.makefile import find_makefile, find_source


def test_what_it_includes_counts(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "Makefile").write_text("-include none.mk $(MORE)\ninclude rules/*.mk # all\n")
    (tmp_path / "rules" / "a.mk").write_text("all: x\ninclude rules/b.inc Makefile\n")
    (tmp_path / "rules" / "b.inc").write_text("package/%:\n\ttrue\n")
    makefile = find_makefile(tmp_path, None, {})
    assert makefile is not None
    assert makefile.has_all
    assert makefile.template == NAME_TEMPLATE


def test_what_variables_name_is_included_as_make_includes_it(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for number in range(1, 6):
        (tmp_path / "rules" / f"{number}.mk").write_text(f"SEEN += {number}\nNEXT = {number + 1}\n")
    lines = [
        "RULES := rules/",
        "include $(RULES)1.mk",
        "-include $(addprefix $(RULES),$(NEXT).mk none$(NEXT).mk)",
        "ifeq ($(NEXT),2)",
        "include ${RULES}$(NEXT).mk",
        "endif",
        "-include $(MORE)/4.mk $(shell echo rules/5.mk) rules/$(ARCH).mk",
        "RULES := later/",
        "all: ; @:",
    ]
    (tmp_path / "Makefile").write_text("\n".join([*lines, ""]))
    source = find_source(tmp_path, {"MORE": "rules"})
    assert source is not None
    assert MakeText(source.text, {}).expand("$(SEEN)", {}) == "1 2 4"
    asked = ["make", "-s", "MORE=rules", "--eval", "print: ; @echo '$(SEEN)'", "print"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "2", "4", "5"], "the shell names the last one"


def test_lines_that_include_variables_are_read_again_and_again_only_so_often(
    tmp_path: Path,
) -> None:
    for number in range(20):
        (tmp_path / f"{number}.mk").write_text("SEEN += x\n")
    lines = [f"-include $(X){number}.mk" for number in range(20)]
    (tmp_path / "Makefile").write_text("\n".join(["X =", *lines, "-include $(X)0.mk\n" * 5000]))
    source = find_source(tmp_path, {})
    assert source is not None
    assert MakeText(source.text, {}).expand("$(SEEN)", {}).split() == ["x"] * 10


def test_what_only_the_environment_names_is_not_included(tmp_path: Path) -> None:
    (tmp_path / "home" / "else").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "home", tmp_path / "home" / "else"):
        (place / "rules.mk").write_text(f"SEEN += {place.name}\n")
    lines = [
        "HERE := $(dir $(lastword $(MAKEFILE_LIST)))",
        "NOTHING =",
        "LATER := $(PLACE)",
        "-include $(PLACE)rules.mk $(LATER)rules.mk $(if $(PLACE),$(PLACE),./)rules.mk",
        "include home/else/rules.mk",
        "include $(HERE)home/rules.mk$(NOTHING)",
        "all: ; @echo '$(SEEN)'",
    ]
    (tmp_path / "Makefile").write_text("\n".join([*lines, ""]))
    source = find_source(tmp_path, {})
    assert source is not None
    assert MakeText(source.text, {}).expand("$(SEEN)", {}) == "else home"
    environment = {**os.environ, "PLACE": "nowhere/"}
    done = subprocess.run(
        ["make", "-s"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["else", "home"]


@pytest.mark.parametrize("name", ["GNUmakefile", "makefile", "Makefile"])
def test_what_make_takes_for_the_makefile_and_cannot_read_is_refused(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.symlink_to("nowhere")
    with pytest.raises(UsageError, match=f"{name} is a link that leads nowhere, and make takes it"):
        find_source(tmp_path, {})
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match=f"{name} is no file, and make takes it for the Makefile"):
        find_source(tmp_path, {})
    done = subprocess.run(["make", "-C", tmp_path], capture_output=True, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "A = b\ninclude rules.mk\n",
            "Makefile:2: this line includes rules.mk, which is not there",
        ),
        ("include more.mk\n", "more.mk:1: this line includes rules.mk, which is not there"),
        ("hello\ninclude rules.mk\n", "Makefile:1: this line is no rule and sets no variable"),
        ("-include rules.mk\nsinclude rules.mk\n", ""),
        ("ifdef A\ninclude rules.mk\nendif\n", ""),
        ("include rules.mk\nrules.mk:\n\techo >$@\n", ""),
        ("include rules.mk\n%.mk:\n\techo >$@\n", ""),
        ("include $(HOME)/rules.mk\n", ""),
    ],
)
def test_a_line_at_which_make_stops_is_told_with_its_place(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "more.mk").write_text("include rules.mk\n")
    (tmp_path / "Makefile").write_text(text)
    makefile = find_makefile(tmp_path, None, {})
    assert makefile is not None
    assert makefile.stop.startswith(told)
    assert bool(makefile.stop) == bool(told)
    if told:
        done = subprocess.run(["make", "-C", tmp_path, "x"], capture_output=True, check=False)
        assert done.returncode == 2


def test_it_may_be_from_an_editor_of_another_system(tmp_path: Path) -> None:
    text = "\ufeffOPTS = one \\\r\n  two\r\ninclude rules.mk\r\n"
    (tmp_path / "Makefile").write_bytes(text.encode())
    (tmp_path / "rules.mk").write_bytes(b"\xef\xbb\xbfpackage/%:\r\n\t@echo $(OPTS)\r\n")
    makefile, source = find_makefile(tmp_path, None, {}), find_source(tmp_path, {})
    assert makefile is not None
    assert source is not None
    assert makefile.template == NAME_TEMPLATE
    asked = ["make", "-s", "package/x"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert MakeText(source.text, {}).expand("$(OPTS)", {}) == done.stdout.strip() == "one two"
