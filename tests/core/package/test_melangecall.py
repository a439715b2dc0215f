"""The flags that a Makefile passes to melange, read from its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.package.makefile import built_in_text
from dag.core.package.melangecall import MelangeCall, MelangeCalls

CHECKOUT = Path(__file__).resolve().parents[3]
GIVEN = {"ARCH": "x86_64", "KEY": "local.rsa", "REPO": "./packages", "MELANGE_EXTRA_OPTS": ""}


def call(text: str, name: str = "app", version: str = "1-r0", **given: str) -> MelangeCall:
    return MelangeCalls(text, {**GIVEN, **given}).of(name, version)


def recipe(flags: str) -> str:
    return f"package/%:\n\tmkdir -p $*\n\t@${{MELANGE}} build $*.yaml {flags} --source-dir ./$*/\n"


def test_what_the_makefile_of_2026_appends_is_found() -> None:
    text = (CHECKOUT / "examples/distribution/Makefile").read_text()
    assert call(text, BOOTSTRAP="yes") == MelangeCall(
        package_append=("busybox",),
        pipeline_dirs=("./pipelines/",),
        repositories=("./packages",),
        keyrings=("local.rsa.pub",),
    )
    assert call(text).repositories == ("./packages", "https://packages.example.org/os")


def test_the_makefile_of_2023_calls_melange_in_a_definition_for_all_packages() -> None:
    text = (CHECKOUT / "examples/makefiles/2023.mk").read_text()
    found = call(text, "words", "20230125-r0", BUILDWORLD="yes", MELANGE_DIR="/usr/share/melange")
    assert found == MelangeCall(
        pipeline_dirs=("/usr/share/melange/pipelines", "./pipelines"),
        repositories=("./packages",),
        keyrings=("local.rsa.pub",),
    )


def test_a_package_can_be_left_out_by_a_function_of_make() -> None:
    text = recipe("$(if $(filter basics,$*),,--package-append basics)")
    assert call(text, "app").package_append == ("basics",)
    assert call(text, "basics").package_append == ()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--package-append a,b --package-append=c", MelangeCall(package_append=("a", "b", "c"))),
        ("--vars-file one --vars-file=two", MelangeCall(vars_file="two")),
        ("--debug --build-option x", MelangeCall(build_options=("x",))),
        ("-r a -kb.pub", MelangeCall(repositories=("a",), keyrings=("b.pub",))),
        ("--log-level --package-append a", MelangeCall()),
        ("--package-append 'a b'", MelangeCall(package_append=("a b",))),
        ("--package-append a && echo --package-append b", MelangeCall(package_append=("a",))),
        ("--package-append $(shell cat x)", MelangeCall(unreadable=("--package-append",))),
        ("--package-append $(addsuffix -dev,a b)", MelangeCall(package_append=("a-dev",))),
        ("--package-append a 2>&1 | tee log", MelangeCall(package_append=("a",))),
        ("--package-append $$MORE", MelangeCall(unreadable=("--package-append",))),
        ("$(shell cat options)", MelangeCall(unreadable=("options",))),
        ("--pipeline-dirs b,c --pipeline-dir a", MelangeCall(pipeline_dirs=("a", "b", "c"))),
        (
            "--package-append a || $(MELANGE) build b",
            MelangeCall(package_append=("a",), unreadable=("--package-append",)),
        ),
    ],
)
def test_flags_are_read_as_melange_reads_them(flags: str, expected: MelangeCall) -> None:
    assert call(recipe(flags)) == expected


def test_a_rule_for_one_package_is_for_that_one_alone() -> None:
    text = recipe("--package-append all") + (
        "package/app:\n\t$(MELANGE) build app.yaml --package-append one\n"
    )
    assert call(text, "app").package_append == ("one",)
    assert call(text, "other").package_append == ("all",)


def test_what_a_rule_hands_on_to_the_make_that_it_calls_is_known_there() -> None:
    text = (
        "package/%:\n\t$(MAKE) pkg=$* packages/$(ARCH)/$*.apk\n"
        "packages/$(ARCH)/%.apk: $(KEY)\n"
        "\t$(MELANGE) build $(pkg).yaml --vars-file $(pkg).vars --repository-append packages/\n"
    )
    assert call(text) == MelangeCall(repositories=("packages/",), vars_file="app.vars")


def test_a_condition_that_only_make_knows_makes_a_value_unreadable_and_no_other() -> None:
    text = (
        "OPTS = --package-append sure\nifeq ($(shell uname),Linux)\nMORE = a\nelse\nMORE = b\nendif\n"
        + recipe("$(OPTS) --build-option $(MORE)")
    )
    assert call(text) == MelangeCall(package_append=("sure",), unreadable=("--build-option",))


@pytest.mark.parametrize(
    ("lines", "app", "other"),
    [
        ("package/app: OPTS = --package-append one\n", ("one",), ()),
        ("OPTS = --package-append all\npackage/app: OPTS += --package-append=one\n",
         ("all", "one"), ("all",)),
        ("OPTS := --package-append all\npackage/%: OPTS += --package-append one\n",
         ("all", "one"), ("all", "one")),
        ("package/app: private export OPTS = --package-append $(MORE)\nMORE = late\n",
         ("late",), ()),
        ("package/app package/x: OPTS ?= --package-append one\nOPTS = --package-append all\n",
         ("one",), ("all",)),
    ],
)  # fmt: skip
def test_an_assignment_for_some_targets_counts_for_these(
    lines: str, app: tuple[str, ...], other: tuple[str, ...]
) -> None:
    text = lines + recipe("$(OPTS)")
    assert call(text, "app").package_append == app
    assert call(text, "other").package_append == other


@pytest.mark.parametrize(
    "start",
    [
        '"$(MELANGE)" build',
        "$(MELANGE) --log-level debug build",
        "@env A=b $(MELANGE) --gcplog build",
    ],
)
def test_however_melange_is_called(start: str) -> None:
    text = f"package/%:\n\t{start} $*.yaml --package-append a\n"
    assert call(text).package_append == ("a",)


def test_a_call_may_be_a_recipe_of_its_own() -> None:
    text = (
        "define make-it\nmkdir -p $*\n$(MELANGE) build $(1).yaml \\\n  --package-append a\nendef\n"
        "package/%:\n\t$(call make-it,$*)\n"
    )
    calls = MelangeCalls(text, GIVEN)
    found = calls.of("app", "1-r0")
    assert found.package_append == ("a",)
    assert calls.line_of(found, "--package-append") == 4


def test_the_line_of_a_flag_is_where_it_is_written() -> None:
    text = (
        "# --package-append\nOPTS += \\\n --debug \\\n --package-append a\n\n"
        "package/%:\n\tmkdir -p $*\n\t$(MELANGE) build $*.yaml \\\n"
        "\t  --vars-file v \\\n\t  $(OPTS)\n"
    )
    calls = MelangeCalls(text, GIVEN)
    found = calls.of("app", "1-r0")
    assert found.line == 8
    assert calls.line_of(found, "--vars-file") == 9
    assert calls.line_of(found, "--package-append") == 4


def test_calls_that_test_packages_count_for_nothing() -> None:
    assert call("package/%:\n\t$(MELANGE) test $*.yaml --package-append a\n") == MelangeCall()


@pytest.mark.long
@pytest.mark.parametrize(
    "text",
    [
        "A = $(A)\n",
        "A0 = xx\n" + "".join(f"A{n + 1} = $(A{n})$(A{n})\n" for n in range(60)) + "A = $(A60)\n",
        "A = $(call f,x)\nf = $(call f,$(1)$(1))\n",
        "A = " + "$(if x," * 5000 + "\n",
    ],
)
def test_a_makefile_that_never_ends_is_unreadable(text: str) -> None:
    assert call(text + recipe("--package-append $(A)")).unreadable in (("--package-append",), ())


def test_a_call_that_differs_only_in_the_name_of_the_definition_is_one_for_all() -> None:
    quoted = 'package/%:\n\t$(MELANGE) build "$(filter-out x,$*)" --package-append a\n'
    for text in (built_in_text(), quoted):
        calls = MelangeCalls(text, {**GIVEN, "MELANGE_RUNNER": "bubblewrap"})
        assert calls.of("app", "1-r0") is calls.of("other", "2-r1")
        assert calls.of("app", "1-r0").unreadable == ()
    calls = MelangeCalls(recipe('--package-append "$(filter-out x,$*)"'), GIVEN)
    assert calls.of("x", "1-r0").package_append == ()
    assert calls.of("app", "1-r0").package_append == ("app",)


def test_what_is_not_known_of_the_rest_of_a_recipe_is_no_option() -> None:
    text = (
        "package/%:\n\t$(eval file := $(shell find . -name $*.yaml))\n"
        "\t$(MELANGE) build $(file) --arch=$(shell uname -m) --package-append a 2>&1 | tee $(shell date)\n"
    )
    assert call(text) == MelangeCall(package_append=("a",))
