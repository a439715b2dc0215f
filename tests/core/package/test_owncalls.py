"""Calls of melange that a Makefile writes out, found in its text."""

from __future__ import annotations

import pytest

from dag.core.package.makefile import APK_TEMPLATE, GIVEN, NAME_TEMPLATE
from dag.core.package.makesource import MakefilePart, MakefileText
from dag.core.package.owncalls import OwnCall, own_calls


def calls(text: str) -> tuple[OwnCall, ...]:
    source = MakefileText(text, (MakefilePart(1, "Makefile", 1),))
    return own_calls(source, GIVEN, [APK_TEMPLATE, NAME_TEMPLATE, "build-{name}"])


@pytest.mark.parametrize(
    "recipe",
    [
        "$(MELANGE) build $*.yaml",
        "PATH=/opt/bin:$$PATH $(MELANGE) build $*.yaml",
        "sudo ${MELANGE} build $*.yaml",
        "$(MELANGE) keygen k && melange index x",
        "echo $*.melange building",
        "$(shell which melange) build",
    ],
)
def test_calls_of_the_variable_are_none(recipe: str) -> None:
    assert calls(f"package/%:\n\t{recipe}\n") == ()


@pytest.mark.parametrize(
    ("recipe", "found"),
    [
        ("melange build $*.yaml", OwnCall("Makefile:4", "")),
        ("@melange --log-level=debug build x.yaml", OwnCall("Makefile:4", "")),
        ("cd x && ./melange build ../x.yaml", OwnCall("Makefile:4", "./melange")),
        ("$(TOOLS)/melange build $*.yaml", OwnCall("Makefile:4", "/opt/tools/melange")),
        ("PATH=/a:$$PATH:/b melange build x", OwnCall("Makefile:4", "", ("/a",))),
        ('PATH="/a:/c" melange build x', OwnCall("Makefile:4", "", ("/a", "/c"))),
        ("export PATH=/a; melange build x", OwnCall("Makefile:4", "", ("/a",))),
        ("PATH=$$PATH:/b melange build x", OwnCall("Makefile:4", "")),
        ("PATH=$(PATH):/b melange build x", OwnCall("Makefile:4", "")),
        ("sudo -E melange build x", OwnCall("Makefile:4", "", (), "sudo")),
        (
            "docker run --rm -v $$PWD:/w example.org/tools/melange:v1 build x",
            OwnCall("Makefile:4", "example.org/tools/melange", (), "docker"),
        ),
    ],
)
def test_another_call_is_found_with_what_leads_to_it(recipe: str, found: OwnCall) -> None:
    assert calls(f"TOOLS = /opt/tools\n\npackage/%:\n\t{recipe}\n") == (found,)


@pytest.mark.parametrize(
    ("targets", "counts"),
    [
        ("package/% other", True),
        ("package/app", True),
        ("packages/$(ARCH)/%.apk", True),
        ("packages/x86_64/app-1-r0.apk", True),
        ("build-%", True),
        ("%", True),
        ("$(TARGETS)", True),
        ("all", True),
        ("dev", False),
        ("debug/% test/%", False),
        ("packages-%", False),
    ],
)
def test_only_recipes_that_build_packages_count(targets: str, counts: bool) -> None:
    text = f"TARGETS = $(shell ls)\n{targets}:\n\tdocker run melange build x\n"
    assert bool(calls(text)) is counts


def test_what_goes_over_the_variable_is_a_call_of_the_makefiles_own() -> None:
    for value, path in (
        ("$(P)/melange", "/opt/melange"),
        ("melange", ""),
        ("$(shell which melange)", ""),
    ):
        text = f"P = /opt\n\noverride MELANGE := {value}\n"
        assert calls(text) == (OwnCall("Makefile:3", path),)
    assert calls("MELANGE := /opt/melange\n") == ()


def test_rules_that_are_made_count() -> None:
    rule = "packages/$(1):\n\tsudo melange build $(1).yaml"
    assert calls(f"define build\n{rule}\nendef\n$(eval $(call build,a))\n")


def test_a_long_recipe_is_searched_in_linear_time() -> None:
    recipe = "melange -a " * 20_000 + "PATH=" * 20_000
    assert calls(f"package/%:\n\t{recipe}\n") == ()
