"""What YAML leaves open, or versions of it have changed: read as melange reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.definitions import compiled
from tests.support.distributions import as_melange_says, in_order
from tests.support.melange import answer

HEAD = "package: {name: app, version: '1', epoch: 0}\n"
INTEGERS = """
0 3 07 010 08 0o7 0O7 0x7 0X7 0b11 0B11 0o8 0b2 00 000 1_000 1__0 _1 ._5 0_7 1_ 0_ 0x_7 0x7_ 0x 0o _ +3 -3 -0 +0
+0x7 -0x0 +0b1 +0o7 18446744073709551615 9223372036854775808 -9223372036854775808 99999999999999999999e0
0xFFFFFFFFFFFFFFFF 0x10000000000000000 0o1777777777777777777777 0777777777777777777777 \u0663
"""
FLOATS = "1e3 1.0 1.9 1. .5 0.0 -0.5 1e400 3e0 3.0e0 1_0.0 12e 0x1p4 .inf .nan . 1:30"
OTHERS = [
    "~",
    "null",
    "nUll",
    "yes",
    "true",
    "2020-01-01",
    "''",
    "'3'",
    '"3"',
    "|\n    3",
    "[3]",
    "{3: 3}",
]
TAGGED = [
    *(
        "!!int 3",
        "!!int '3'",
        "!!int 0x10",
        "!!int 3.0",
        "!!int ''",
        "!!str 3",
        "!!float 3",
        "!!float 3.5",
    ),
    *("!!bool true", "!!null ''", "!!null 3", "!!binary Mw==", "!foo 3", "! 3", "! '3'", "&a 3"),
    *("!<tag:yaml.org,2002:int> 3", "!!timestamp 2020-01-01"),
]
EPOCHS = [*INTEGERS.split(), *FLOATS.split(), *OTHERS, *TAGGED]
TEXTS = [
    *(
        "1.10",
        "1.0",
        "010",
        "0x10",
        "1_000",
        "1e3",
        "yes",
        "on",
        "true",
        "~",
        "null",
        "Null",
        "2020-01-01",
    ),
    *(
        "!!str 1.10",
        "!!str null",
        "!!str",
        "!!float 1.10",
        "!!float a",
        "!!int 010",
        "!!int a",
        "!!int 1.0",
    ),
    *(
        "!!bool yes",
        "!!bool true",
        "!!null x",
        "!!null ~",
        "!!binary MS4y",
        "!!binary 'MS4\n\n   y'",
    ),
    *(
        "!!binary MS4",
        "!!binary '%'",
        "!foo 1.2",
        "! ~",
        "! 1",
        "!!seq a",
        "!!merge 1",
    ),
    *("!<tag:yaml.org,2002:null> 1.2", "'1'", "&v 1.2", ">-\n    1.2", "[a]", "{a: b}", "*x"),
]
MAPPINGS = [
    *("{a: 1, a: 2}", "{a: 1, 'a': 2}", "{1: a, 0x1: b}", "{~: x, a: 1}", "{~: x, null: y, a: 1}"),
    *(
        "{~: x, ~: y, a: 1}",
        "{'~': x, a: 1}",
        "{!!int 5: x, a: 1}",
        "{!!int x: x, a: 1}",
        "{!!binary YQ==: 2}",
    ),
    *("{[a]: b}", "{{a: b}: b}", "{<<: {a: 1, b: 2}, b: 3}", "{b: 3, <<: {a: 1, b: 2}}"),
    *(
        "{<<: [{a: 1, b: 2}, {a: 5, b: 6}]}",
        "{<<: {a: 1}, <<: {b: 2}}",
        "{<<: {a: 1, <<: {b: 2, a: 9}}}",
    ),
    *(
        "{b: 4, <<: [{a: 1, <<: {b: 2, a: 9}}, {b: 7}]}",
        "{<<: ~}",
        "{<<: []}",
        "{<<: x}",
        "{<<: [x]}",
    ),
    *(
        "{<<: [[{a: b}]]}",
        "{'<<': b, a: 1}",
        "{'<<': {a: 1}}",
        "{!!str <<: b, a: 1}",
        "{! <<: {a: 1}}",
    ),
    *("{!!merge <<: {a: 1}}", "{!!merge '<<': {a: 1}}", "{a: ~, <<: {a: b}}", "{<<: {a: ~}, a: b}"),
    *(
        "{<<: [{a: ~}, {a: 3}]}",
        "{<<: {a: 1, a: 2}}",
        "&v {<<: *v, a: 1}",
        "{a: &x 1, b: *x}",
        "{a: *x}",
    ),
    *(
        "{a: &x 1, b: &x 2, c: *x}",
        "!!null {a: 1}",
        "!!str {a: 1}",
        "!foo {a: 1}",
        "!!set {a, b}",
        "~",
        "''",
    ),
    *("[a]", "a", "{a: http://x:80/}", '{"a":b}', "{a:b}", "{a}", "{? a : b}", "{'': x, a: 1}"),
]
LISTS = [
    *(
        "[x, ~]",
        "[x, null]",
        "[x, !!null '']",
        "[x, !!str null]",
        "[x, !!null y]",
        "[x, !!int y]",
        "[x, 1.10]",
    ),
    *(
        "[x, !!binary eA==]",
        "[x, yes]",
        "[x, &y y, *y]",
        "&x [a, *x]",
        "[a, [b]]",
        "[a, {b: c}]",
        "[a, b,]",
    ),
    *(
        "[a,, b]",
        "[a: b]",
        "[%a]",
        "[@a]",
        "[`a]",
        "[*a]",
        "!!null [a]",
        "!!map [a]",
        "a",
        "''",
        "{a: b}",
    ),
    # libyaml and yaml.v3 do not know the same escapes.
    *(
        r"""["it\'s"]""",
        r"""["a\\'b\'", 'c\', "\'\'"]""",
        r"""["a\/b"]""",
        r"""["a\\/b", 'a\/b', a\/b]""",
    ),
    *(r"""["é\'\x41\u00e9"]""", r"""["é", "\é"]""", r"""["a\qb"]""", """[&x "a", &x "a\\/b"]"""),
    *(
        '["a\\\n      b\\/c"]',
        '["a\\\n      b\\\'c"]',
        """[&x "a", &x "a\\'b", *x]""",
        r"""["\'", "\/"]""",
    ),
    r"""["\'", "a]""",
]
DOCUMENTS = [
    *(
        HEAD * 2,
        "---\n" + HEAD,
        "# x\n---\n" + HEAD,
        HEAD + "...\n",
        HEAD + "...\njunk: [\n",
        "\ufeff" + HEAD,
    ),
    *(HEAD + "---\npackage: {name: other, version: 2, epoch: 0}\n", "%YAML 1.1\n---\n" + HEAD),
    *(
        "%YAML 1.2\n---\n" + HEAD,
        "%YAML 1.3\n---\n" + HEAD,
        "%FOO x\n---\n" + HEAD,
        HEAD.replace("\n", "\r\n"),
    ),
    "%TAG !e! tag:yaml.org,2002:\n---\npackage: {name: app, version: !e!binary MS4y, epoch: !e!int 0x3}\n",
    *(
        "package:\n\tname: app\n\tversion: 1\n",
        "package:\n  name:\tapp\n  version:\t'1'\n  epoch:\t0\n",
    ),
    *("package: {\tname: app,\tversion: 1}\n", "package:\n  name: app\n\t\n  version: 1\n"),
    *("package:\n  name: app\t# x\n  version: 1\n", "package:\n  name: app\n\t# x\n  version: 1\n"),
    *(
        "package: {\n\tname: app,\n\tversion: 1}\n",
        HEAD + "pipeline:\n-\truns: x\n",
        HEAD + "vars: {}\0",
    ),
    *(
        "!!null\n" + HEAD,
        "<<: {package: {name: app, version: 1}}\n",
        "package:\n  name: app\n version: 1\n",
    ),
    HEAD + "options: {o: [a]}\n",
    HEAD + "options: {o: ~}\n",
]
DEFINITIONS = [
    *(f"package:\n  name: app\n  version: '1'\n  epoch: {one}\n" for one in EPOCHS),
    *(f"package:\n  name: app\n  version: {one}\n  epoch: 0\n" for one in TEXTS),
    *(f"{HEAD}subpackages: [{{name: 's${{{{vars.v}}}}'}}]\nvars:\n  v: {one}\n" for one in TEXTS),
    *(
        f"{HEAD}environment: {{contents: {{packages: ['a${{{{vars.a}}}}']}}}}\nvars: {one}\n"
        for one in MAPPINGS
    ),
    *(f"{HEAD}environment:\n  contents:\n    packages: {one}\n" for one in LISTS),
    *(
        f"package:\n  name: app\n  version: 1\n  dependencies:\n    runtime: {one}\n"
        for one in LISTS
    ),
    *DOCUMENTS,
]


@pytest.mark.parametrize("text", DEFINITIONS)
def test_it_is_read_as_melange_reads_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(text, newline="")
    theirs = answer(path)
    ours, problems = compiled(path.read_bytes(), path.name)
    if isinstance(theirs, str):
        assert problems or ours is None, theirs
        return
    assert ours is not None, (theirs, problems)
    assert as_melange_says(ours) == in_order(theirs)


@pytest.mark.parametrize(
    "epoch", ["18446744073709551616", "1.8446744073709551615e19", "-1.0", "-.inf"]
)
def test_an_epoch_that_machines_read_differently_is_refused(epoch: str) -> None:
    """Go leaves to the machine what comes out; melange says 9223372036854775808 on x86_64."""
    _, problems = compiled(
        f"package: {{name: app, version: 1, epoch: {epoch}}}\n".encode(), "app.yaml"
    )
    assert [str(one.what) for one in problems]
