"""Calls of melange that a Makefile writes out, found in its text."""

from __future__ import annotations

import pytest

from dag.core.package.makefile import GIVEN
from dag.core.package.makesource import MakefilePart, MakefileText
from dag.core.package.owncalls import OwnCall, own_calls


def calls(text: str) -> tuple[OwnCall, ...]:
    return own_calls(MakefileText(text, (MakefilePart(1, "Makefile", 1),)), GIVEN)


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


def test_a_long_recipe_is_searched_in_linear_time() -> None:
    recipe = "melange -a " * 20_000 + "PATH=" * 20_000
    assert calls(f"package/%:\n\t{recipe}\n") == ()
