"""The flags that a Makefile passes to melange, read from its text."""

from __future__ import annotations

from pathlib import Path

import pytest

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
        pipeline_dirs=("./pipelines", "/usr/share/melange/pipelines"),
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


def test_calls_that_test_packages_count_for_nothing() -> None:
    assert call("package/%:\n\t$(MELANGE) test $*.yaml --package-append a\n") == MelangeCall()


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
