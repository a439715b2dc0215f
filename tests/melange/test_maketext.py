"""The text of Makefiles as `dag` reads it, compared with GNU make.

The oracle is the make of this machine: `$(info …)` makes it print the value of a variable.
"""

from __future__ import annotations

import re
import subprocess

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dag.core.package.makefunctions import UNKNOWN
from dag.core.package.maketext import MakeText
from dag.core.package.melangecall import MelangeCalls

NAMES = ("A", "B", "C")
WORDS = ("x", "x.y", "d/x.y", "d/", "-a", "%", "x%", "a,b")

words = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
pattern = st.sampled_from(("%", "x%", "%.y", "x", "d/%.y", "", " "))


def functions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = ("strip", "sort", "firstword", "lastword", "words", "dir", "notdir", "suffix", "basename")
    two = ("filter", "filter-out", "addsuffix", "addprefix", "findstring", "and", "or")
    return st.one_of(
        st.builds(lambda name, text: f"$({name} {text})", st.sampled_from(one), inner),
        st.builds(
            lambda name, start, text: f"$({name} {start},{text})",
            st.sampled_from(two),
            pattern,
            inner,
        ),
        st.builds(lambda a, b, c: f"$(if {a},{b},{c})", inner, inner, inner),
        st.builds(lambda a, b, c: f"$(subst {a},{b},{c})", pattern, pattern, inner),
        st.builds(lambda a, b, c: f"$(patsubst {a},{b},{c})", pattern, pattern, inner),
        st.builds(lambda a, b: f"$(foreach i,{a},{b}$(i))", inner, pattern),
        st.builds(lambda number, text: f"$(word {number},{text})", st.integers(1, 4), inner),
        st.builds("${{{0}:{1}={2}}}".format, st.sampled_from(NAMES), pattern, pattern),
        st.builds("$(call {0},{1},q)".format, st.sampled_from(NAMES), inner),
    )


value = st.recursive(
    st.one_of(words.map(lambda text: text.replace("a,b", "ab")), st.sampled_from(["$(A)", "${B}"])),
    functions,
    max_leaves=6,
)
assignment = st.builds(
    "{0} {1} {2}".format, st.sampled_from(NAMES), st.sampled_from((":=", "+=", "?=")), value
)


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    made: list[str] = []
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            made.append(draw(assignment))
            continue
        kind = draw(st.sampled_from(("ifeq", "ifneq")))
        made += [f"{kind} ({draw(value)},{draw(value)})", draw(assignment)]
        if draw(st.booleans()):
            made += ["else", draw(assignment)]
        made.append("endif")
    return made


def make(text: str) -> list[str] | None:
    """Return the values of all variables, or None if make refuses the text."""
    asked = "".join(f"$(info [$({name})])\n" for name in NAMES)
    done = subprocess.run(
        ["make", "-rR", "-f", "-"],
        input=f"{text}\n{asked}all:;@:\n",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines() if not done.returncode else None


@settings(max_examples=60)
@example(["A := $(patsubst x,,x y x)|", "B :=  x  y x", "C := ${B:x=}|$(basename .y x.y)|"])
@example(["A := $(subst x,,x y)", "B := $(if $(subst x,,x x),a,b)", "C := $(patsubst ,z,$(A) x )"])
@given(lines())
def test_variables_have_the_values_that_make_gives_them(written: list[str]) -> None:
    text = "\n".join(written)
    expected = make(text)
    read = MakeText(text, {})
    values = [f"[{read.expand(f'$({name})', {})}]" for name in NAMES]
    if expected is not None:
        assert [one for one in values if UNKNOWN not in one] == [
            theirs for theirs, ours in zip(expected, values, strict=True) if UNKNOWN not in ours
        ]
        assert UNKNOWN not in "".join(values)


target = st.sampled_from(("package/app", "package/lib", "package/%", "package/app package/lib", ""))
option = st.builds(
    "--package-append{0}{1}".format, st.sampled_from((" ", "=")), st.sampled_from(("a", "b,c", "d"))
)
given_option = st.one_of(
    option,
    st.just("$(MORE)"),
    st.builds("$(if $(filter app,$*),,{0})".format, option),
    st.builds("$(if $(filter x lib,$*),{0},{1})".format, option, option),
)
options = st.lists(given_option, max_size=2).map(" ".join)
line = st.one_of(
    st.builds(
        lambda where, name, kind, text: (
            f"{where}: {name} {kind} {text}" if where else f"{name} {kind} {text}"
        ),
        target,
        st.sampled_from(("OPTS", "MORE")),
        st.sampled_from(("=", ":=", "+=", "?=")),
        options,
    ),
    st.builds(
        "ifeq ($(ARCH),{0})\nOPTS += {1}\nelse\nMORE = {2}\nendif".format,
        st.sampled_from(("x86_64", "other")),
        option,
        option,
    ),
)


@settings(max_examples=40)
@example(["package/app: OPTS = ", "package/%: OPTS ?= --package-append a", "OPTS = "], "")
@given(st.lists(line, max_size=4), options)
def test_melange_gets_the_packages_that_the_text_tells(before: list[str], own: str) -> None:
    text = "\n".join([*before, f"package/%:\n\t@$(MELANGE) build $*.yaml $(OPTS) {own}", ""])
    calls = MelangeCalls(text, {"ARCH": "x86_64"})
    done = subprocess.run(
        ["make", "-rR", "-f", "-", "MELANGE=echo", "ARCH=x86_64", "package/app", "package/lib"],
        input=text,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        assert "references itself" in done.stderr  # MORE = $(MORE)
        return
    for name, words in zip(("app", "lib"), done.stdout.splitlines(), strict=True):
        found = calls.of(name, "1-r0")
        values = re.findall(r"(?<!\S)--package-append[ =](\S+)", words)
        assert found.unreadable == ()
        assert found.package_append == tuple(",".join(values).split(",") if values else ())
