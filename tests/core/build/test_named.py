"""Which files are common to all units: those that the Makefile names, and what these name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dag.core.build.named import NamedPaths

FILES = {
    "Makefile": """\
include rules/*.mk
# see README.md
vars := config/vars.yaml
package/%:
\t@tools/build.sh $* --env-file=build-$(ARCH).env $(dir $(shell cat seen/shell)) --vars-file=$(vars) --pipeline-dir ./pipelines/ $(CURDIR)/keys/a.pub
""",
    "rules/a.mk": "all:\n\tscripts/all\n",
    "rules/deep/b.mk": "",
    "scripts/all": "#!/bin/sh\n. ./lib.sh  # from tools/unused\n",
    "scripts/lib.sh": "cat ../VERSION data/table\n",
    "VERSION": "1",
    "tools/build.sh": "",
    "tools/unused": "",
    "config/vars.yaml": "",
    "keys/a.pub": "",
    "keys/b.pub": "",
    "README.md": "",
    "build-x86_64.env": "",
    "seen/shell": "",
    ".hidden/build-x.env": "",
    "LICENSE": "",
    "data/table": "",
    "data/other": "",
}


def common(*start: str) -> set[str]:
    return set(NamedPaths(FILES).closure(start, FILES.get))


def test_what_the_makefile_names_and_what_that_names() -> None:
    assert common("Makefile") == {
        "Makefile",
        "rules/a.mk",
        "scripts/all",
        "build-x86_64.env",
        "seen/shell",
        "scripts/lib.sh",
        "VERSION",
        "tools/build.sh",
        "config/vars.yaml",
        "keys/a.pub",
        "data/table",
    }


def test_words_stand_for_files_directories_and_patterns() -> None:
    paths = NamedPaths(FILES)
    assert paths.matching("./keys/") == ["keys/a.pub", "keys/b.pub"]
    assert paths.matching("keys/%.pub") == ["keys/a.pub", "keys/b.pub"]
    assert paths.matching("LICENSE") == ["LICENSE"]
    for word in ("*", "%", ".", "..", "/", "", "none", "*.none", "../x"):
        assert paths.matching(word) == []


@given(st.text(alphabet="ab/.*%@-# \n~?+[]", max_size=60))
def test_no_text_is_a_problem(text: str) -> None:
    assert NamedPaths(FILES).named_in(text, "rules") <= FILES.keys()
