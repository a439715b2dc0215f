"""Half a minute of random definitions, compared with what melange answers live."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from dag.core.arch import Arch
from dag.core.package.melangeflags import Resolution
from dag.core.package.pipelines import Table
from dag.io.package.ways import Ways
from tests.support.definitions import compiled
from tests.support.distributions import as_melange_says, in_order
from tests.support.melange import answer

SECONDS = float(os.environ.get("DAG_DIFFERENTIAL_SECONDS", "40"))

WORDS = r"""
a b-1 x 1.10 so:lib.so.1 = >2 ! ~1 $1 $$ ${ {{ }} \n \ ' " true null 0x10 1_000 00303 é # & * @l
"""
PATTERNS = r"""
^(\d+)\.(\d+).*$ \. _ (?P<k>[a-z]+) (?<k>\d) [[:alpha:]] x* (?i)A \W (a)|(b) \.(\d+)\z [^[:digit:]]+
a{1,2}? \bx [\d.]+$ \Q.\E (?s:.) \x2e \C [a-\d] é \S+ [a] () $ ^ (a*)*
"""
TEMPLATES = r"|-|$1|${1}|$1_$2|$$|$k|${k}x|$0$0|$|${|$é|$3|\1|\n|\|$10|${1|${}|$-"
LITERALS = st.sampled_from(WORDS.split())
ALWAYS = ["package.name", "package.version", "package.epoch", "package.full-version"]
VARS = ["v1", "v-2", "v_3", "v.4", "to1", "to2"]
KNOWN = [*ALWAYS, "package.description", *(f"vars.{name}" for name in VARS)]
BUILD = [
    *("build.arch", "build.goarch", "context.name", "subpkg.name", "targets.contextdir"),
    *("targets.destdir", "targets.subpkgdir", "targets.outdir", "package.srcdir"),
    *("host.triplet.gnu", "host.triplet.rust", "cross.triplet.gnu.musl"),
    *("targets.package.main", "options.o1.enabled", "options.o2.enabled"),
]
INPUTS = ["inputs.a", "inputs.b", "inputs.c"]


def references(names: list[str]) -> st.SearchStrategy[str]:
    form = st.sampled_from(["${{%s}}"] * 6 + ["${{ %s }}", "${{%s }}", "${{\t%s}}"])
    return st.builds(lambda shape, name: shape % name, form, st.sampled_from(names))


def texts(names: list[str], literals: st.SearchStrategy[str] = LITERALS) -> st.SearchStrategy[str]:
    return st.lists(literals | references(names), min_size=1, max_size=3).map("".join)


def conditions(names: list[str]) -> st.SearchStrategy[str]:
    words = st.sampled_from(["a", "x86_64", "main", "true", "", "1.2.3_rc4", "\\'", "\\n", "\\x"])
    value = st.one_of(
        words.map(lambda word: f"'{word}'"),
        words.map(lambda word: f'"{word}"'),
        references(names),
        references(names).map(lambda text: f"'{text}'"),
        references(names).map(lambda text: f'"{text}"'),
    )
    compared = st.builds("{} {} {}".format, value, st.sampled_from(["==", "!="]), value)
    return st.recursive(
        compared,
        lambda inner: st.one_of(
            st.builds("{}{}{}".format, inner, st.sampled_from([" && ", "||", " || "]), inner),
            inner.map("({})".format),
            inner.map("( {} )".format),
        ),
        max_leaves=4,
    )


def sometimes(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def needs(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"packages": st.lists(texts(names), max_size=2)})


def given_inputs(names: list[str]) -> st.SearchStrategy[dict[str, str]]:
    return sometimes(a=texts(names), b=texts(names) | st.just(""), c=texts(names))


def uses(names: list[str], pipelines: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    own = st.builds(
        lambda use, given, more: {"uses": use, "with": given, **more},
        st.sampled_from(pipelines),
        given_inputs(names),
        sometimes(**{"if": conditions(names), "needs": needs(names)}),
    )
    fetch = st.builds(
        lambda uri, more: {"uses": "fetch", "with": {"uri": f"https://e.x/{uri}", **more}},
        texts(names),
        st.just({"expected-none": "true"}) | st.just({"expected-sha256": "0" * 64}),
    )
    go = st.builds(
        lambda package: {
            "uses": "go/build",
            "with": {"packages": ".", "output": "x", "go-package": package},
        },
        texts(names),
    )
    plain = st.sampled_from(["strip", "cmake/build", "split/dev", "split/debug", "autoconf/make"])
    return st.one_of(own, own, fetch, go, plain.map(lambda use: {"uses": use}))


def steps(names: list[str], pipelines: list[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    runs = st.fixed_dictionaries(
        {"runs": st.just("true")}, optional={"needs": needs(names), "if": conditions(names)}
    )
    one = runs | uses(names, pipelines) if pipelines else runs
    return st.recursive(
        st.lists(one, max_size=3),
        lambda inner: st.lists(
            st.fixed_dictionaries(
                {"pipeline": inner}, optional={"if": conditions(names), "needs": needs(names)}
            ),
            max_size=2,
        ),
        max_leaves=3,
    )


def pipeline(names: list[str], below: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    inside = [*names, *INPUTS, "context.name"]
    inputs = st.fixed_dictionaries(
        {name: sometimes(default=texts([*names, "inputs.b"])) for name in "abc"}
    )
    return st.fixed_dictionaries(
        {"inputs": inputs},
        optional={
            "needs": needs(inside),
            "if": conditions(inside),
            "pipeline": steps(inside, below),
        },
    )


DEPENDENCIES = sometimes(
    runtime=st.lists(texts(KNOWN), max_size=2),
    provides=st.lists(texts(KNOWN), max_size=2),
    **{
        "provider-priority": st.sampled_from(["5", 10, "-1", "${{package.epoch}}", "${{vars.v1}}"]),
        "replaces": st.just(["other"]),
    },
)
TRANSFORMS = st.lists(
    st.fixed_dictionaries(
        {
            "from": texts(KNOWN),
            "match": st.sampled_from(PATTERNS.split()),
            "replace": st.sampled_from(TEMPLATES.split("|")),
            "to": st.sampled_from(VARS),
        }
    ),
    max_size=3,
)
PACKAGE = st.fixed_dictionaries(
    {
        "name": st.just("main"),
        "version": st.sampled_from(["1.2.3_rc4", "1.10", "00303", "2023-01-25"]),
        "epoch": st.sampled_from([0, 7]),
    },
    optional={
        "description": texts(ALWAYS),
        "dependencies": DEPENDENCIES,
        "target-architecture": st.sampled_from([["all"], ["x86_64"], ["x86_64", "aarch64"], []]),
    },
)
LOCAL = ["p/one", "p/two", "p/three"]
SUBPACKAGE = st.fixed_dictionaries(
    {
        "name": st.sampled_from(
            [
                "sub",
                "${{package.name}}-dev",
                "main-${{vars.v1}}",
                "s-${{range.key}}",
                "t${{range.key}}",
            ]
        )
    },
    optional={
        "range": st.sampled_from(["d1", "d2"]),
        "if": conditions([*ALWAYS, "build.arch", "range.key", "vars.v1"]),
        "dependencies": DEPENDENCIES,
        "pipeline": steps([*KNOWN[:4], *BUILD, "range.key", "range.value", "vars.v1"], LOCAL),
    },
)
DATA = st.fixed_dictionaries(
    {
        name: st.dictionaries(st.sampled_from(["k1", "2", "z_z"]), texts(KNOWN), max_size=2)
        for name in ("d1", "d2")
    }
).map(lambda data: [{"name": name, "items": items} for name, items in data.items()])
OPTIONS = st.fixed_dictionaries(
    {
        name: sometimes(
            vars=st.dictionaries(st.sampled_from(VARS), LITERALS, max_size=2),
            environment=st.builds(
                lambda add, remove: {"contents": {"packages": {"add": add, "remove": remove}}},
                st.lists(st.sampled_from(["x", "y"]), max_size=2, unique=True),
                st.lists(st.sampled_from(["x", "z"]), max_size=2, unique=True),
            ),
        )
        for name in ("o1", "o2")
    }
)
DEFINITION = st.fixed_dictionaries(
    {
        "package": PACKAGE,
        # melange resolves or refuses at random a var that refers to another one.
        "vars": st.fixed_dictionaries(dict.fromkeys(VARS[:4], LITERALS)),
        "data": DATA,
        "options": OPTIONS,
    },
    optional={
        "var-transforms": TRANSFORMS,
        "environment": st.lists(texts(KNOWN) | st.sampled_from("xyz"), max_size=3).map(
            lambda packages: {"contents": {"packages": packages}}
        ),
        "pipeline": steps([*KNOWN[:4], *BUILD, "vars.v1", "vars.to1"], LOCAL),
        "subpackages": st.lists(SUBPACKAGE, max_size=3),
    },
)
CASES = st.fixed_dictionaries(
    {
        "x": DEFINITION,
        "p/three": pipeline([*ALWAYS, "build.arch"], []),
        "p/two": pipeline([*ALWAYS, "subpkg.name"], ["p/three"]),
        "p/one": pipeline([*ALWAYS, "vars.v1"], ["p/two", "p/three"]),
    }
)


def write(directory: Path, case: dict[str, Any]) -> Path:
    (directory / "pipelines" / "p").mkdir(parents=True, exist_ok=True)
    for name, tree in case.items():
        place = directory / (f"pipelines/{name}.yaml" if "/" in name else f"{name}.yaml")
        place.write_text(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False))
    return directory / "x.yaml"


def compare(directory: Path, case: dict[str, Any], arch: str, options: list[str]) -> None:
    path = write(directory, case)
    theirs = answer(path, arch=arch, options=options)
    ours, problems = compiled(
        path.read_bytes(),
        path.name,
        arch=arch,
        table=Table(Ways(directory, Arch.parse(arch)).find(Resolution()).texts),
        options=options,
    )
    if isinstance(theirs, str):
        if "skip this arch" in theirs:
            event("for another architecture")
            assert problems or (ours is not None and not ours.builds_on(arch))
        else:
            event("refused")
            # Shell text and unused inputs are melange's own business. It crashes if a build option
            # removes a package that is listed twice.
            known = re.search(r"mutating (runs|with)|^\t|\^$", theirs)
            assert problems or known, theirs
        return
    if problems:
        event("refused by us alone")
        # melange finds these when it builds.
        late = re.compile("if: |is no package|is empty")
        assert all(late.search(one.what) for one in problems), problems
        return
    event("read")
    assert ours is not None
    assert as_melange_says(ours) == in_order(theirs)


@pytest.mark.torture
def test_what_nobody_wrote_is_read_as_melange_reads_it(tmp_path: Path) -> None:
    end = time.monotonic() + SECONDS

    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        CASES,
        st.sampled_from(["x86_64", "x86_64", "aarch64"]),
        st.lists(st.sampled_from(["o1", "o2"]), unique=True, max_size=2),
    )
    def once(case: dict[str, Any], arch: str, options: list[str]) -> None:
        compare(tmp_path, case, arch, options)

    while time.monotonic() < end:
        once()
