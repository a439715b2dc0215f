"""One definition: what is wrong is a problem with file, line and remedy, and never an exception."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.package.model import Checkout, Fetch, Package
from dag.core.package.pipelines import Table
from dag.core.package.problems import FileProblem
from tests.support.definitions import compiled


def read(text: str | bytes, **own: str) -> tuple[Package | None, Sequence[FileProblem]]:
    data = text.encode() if isinstance(text, str) else text
    pipelines = {
        name.replace("_", "/"): (f"pipelines/{name}.yaml", body.encode())
        for name, body in own.items()
    }
    return compiled(data, "x.yaml", table=Table(pipelines))


def package(text: str, **own: str) -> Package:
    result, problems = read(text, **own)
    assert not problems
    assert result is not None
    return result


def problem(text: str | bytes, **own: str) -> FileProblem:
    result, problems = read(text, **own)
    assert result is None
    (only,) = problems
    assert only.file == "x.yaml"
    assert only.fix
    return only


HEAD = "package:\n  name: x\n  version: 1\n"


@pytest.mark.parametrize(
    "text",
    [
        *("", "# nothing\n", "a: 1\n", "[1, 2]\n", "text\n", "---\n...\n"),
        # Other programs keep this in such files.
        *("package: tool\n", "package: [a, b]\n", "a: 1\na: 2\n", "? [a, b]\n: c\n"),
        *("{{ .Values.x }}\n", "a: &x 1\nb: &x 2\n", "a: b: c\n"),
    ],
)
def test_what_has_no_package_is_no_definition(text: str) -> None:
    assert read(text) == (None, ())


@pytest.mark.parametrize("version", ["1.10", "00303", "1e3", "on", "2023-01-25", "0x1F", "1_000"])
def test_versions_are_kept_as_written(version: str) -> None:
    assert package(f"package: {{name: x, version: {version}}}").version == version


def test_an_escape_that_melange_does_not_know_is_told_in_its_line() -> None:
    found = problem(HEAD + """  description: "it\\'s\n    a\\/b"\n""")
    assert (found.line, found.what) == (
        5,
        r"broken YAML: melange knows no escape \/ in double quotes",
    )
    found = problem(HEAD + """  description: "it\\'s\n    a\\qb"\n""")
    assert (found.line, found.what.partition(" character ")[2]) == (5, "'q'")


def test_a_missing_epoch_is_zero() -> None:
    assert package(HEAD).full_version == "1-r0"
    assert package(f"{HEAD}  epoch: 12\n").full_version == "1-r12"


def test_each_need_has_the_line_where_it_stands() -> None:
    made = package(
        "# comment\n" + HEAD + "environment:\n  contents:\n    packages:\n      - a\n      - b\n"
        "pipeline:\n  - name: n\n    uses: strip\n"
        "subpackages:\n  - description: d\n    name: x-dev\n    pipeline:\n      - uses: split/dev\n"
    )
    assert made.line == 3
    assert [(need.name, need.line, need.reason) for need in made.environment] == [
        ("a", 8, "environment"),
        ("b", 9, "environment"),
        ("binutils", 12, "uses strip"),
        ("scanelf", 12, "uses strip"),
        ("busybox", 17, "subpackage x-dev uses split/dev"),
    ]
    assert [(one.name, one.line) for one in made.subpackages] == [("x-dev", 15)]


def test_the_way_to_a_nested_pipeline_is_told() -> None:
    made = package(
        HEAD + "pipeline:\n  - uses: local\n  - pipeline:\n    - uses: meson/configure\n",
        local="pipeline: [{uses: cmake/build}, {needs: {packages: [own]}, runs: x}]",
    )
    assert {need.name: (need.reason, need.kind, need.line) for need in made.environment} == {
        "cmake": ("uses local > cmake/build", "nested pipeline", 5),
        "ninja": ("uses local > cmake/build", "nested pipeline", 5),
        "own": ("uses local", "pipeline", 5),
        "meson": ("nested uses meson/configure", "nested pipeline", 7),
    }
    assert made.pipelines == ("cmake/build", "local", "meson/configure")


def test_each_step_that_fetches_is_a_source() -> None:
    made = package(
        HEAD + "pipeline:\n"
        "  - uses: git-checkout\n"
        "    with: {repository: 'https://e.x/r', tag: 'v${{package.version}}',"
        " expected-commit: abc, recurse-submodules: true, expected-commit-is-branch-tip: true}\n"
        "  - uses: fetch\n"
        "    with: {uri: 'https://e.x/${{package.name}}.tgz', expected-sha512: ff}\n"
        "  - uses: fetch\n"
        "    if: ${{build.arch}} == 'aarch64'\n"
        "    with: {uri: 'https://e.x/arm', expected-none: yes}\n"
    )
    assert made.sources == (
        Checkout("https://e.x/r", "v1", "", "abc", "unset", True, "", ".", "x.yaml", 5, True, True),
        Fetch("https://e.x/x.tgz", "", "ff", False, "x.yaml", 7, True),
        Fetch("https://e.x/arm", "", "", True, "x.yaml", 9, False),
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("package:\n  version: 1\n", 2, "package.name is missing"),
        ("package:\n", 1, "package has no name"),
        ("package:\n  name: x\n", 2, "package x has no version"),
        ("package:\n  name: [x]\n  version: 1\n", 2, "package.name is a list"),
        ("package:\n  name: ../../x\n  version: 1\n", 2, "'../../x' is not the name of a package"),
        ("package:\n  name: $(rm)\n  version: 1\n", 2, "'$(rm)' is not the name of a package"),
        ("package:\n  name: x\n  version: 1/../2\n", 3, "'1/../2' is not a version"),
        (f"package:\n  name: x\n  version: {'1' * 201}\n", 3, "11…' is not a version"),
        ("package:\n  name: x\n  version: 1\n  epoch: one\n", 4, "'one' is not a whole number"),
        ("package:\n  name: x\n  version: 1\n  epoch: -1\n", 4, "'-1' is not a whole number"),
        ("package:\n  name: x\n  version: 1\n  epoch: '1'\n", 4, "'1' is a text, and not a number"),
        (HEAD + "vars: {a: !!int x}\n", 4, "'x' is not what its tag !!int says"),
        ("%YAML 1.2\n---\npackage: {name: x, version: 1}\n", 1, "no version of YAML but 1.1"),
        (HEAD + "vars: {<<: {a: b}, <<: {c: d}}\n", 4, "'<<' is given twice"),
        (
            HEAD + "  resources: {cpu: -3}\n",
            4,
            "package.resources.cpu: '-3' is no Kubernetes quantity",
        ),
        (
            HEAD + "  resources:\n    memory: 0\n",
            5,
            "package.resources.memory: '0' requests nothing",
        ),
        (HEAD + "  resources:\n    disk: 8Ei\n", 5, "'8Ei' is more than Kubernetes can count"),
        (HEAD + "environment: {contents: {packages: ['=1']}}\n", 4, "'=1' in environment.contents"),
        (
            HEAD + "pipeline: [{needs: {packages: ['>1']}}]\n",
            4,
            "needs '>1', which is not a package",
        ),
        (HEAD + 'pipeline: [{needs: {packages: ["a\\e[1m"]}}]\n', 4, "which is not a package"),
        ("package:\n  name: x\n  version: 1\n  epoch: 18446744073709551616\n", 4, "is larger than"),
        (
            "package:\n  name: x\n  version: 1\n  epoch: 99999999999999999999999\n",
            4,
            "is larger than",
        ),
        (
            f"package:\n  name: {'x' * 201}\n  version: 1\n",
            2,
            "'… has 201 characters",
        ),
        (HEAD + "subpackages:\n  - name: a\n  - {name: a, if: a != a}\n", 6, "used in line 5"),
        (
            HEAD + "subpackages:\n  - {name: a, if: a}\n",
            5,
            "a quoted string or a variable is expected",
        ),
        (
            HEAD
            + "data: [{name: r, items: {a: b, c: d}}]\nsubpackages:\n  - {name: a, range: r}\n",
            6,
            "'a' is used more than once; give each its own, with ${{range.key}} in it",
        ),
        (
            HEAD + "subpackages:\n  - {name: a, if: '${{x}} == 1'}\n",
            5,
            "the variable x is not defined",
        ),
        (HEAD + "vars:\n  a: ${{package.name}}\n", 5, "vars.a: the variable package.name is not"),
        ("package:\n  name: x\n  version: 1\n  name: y\n", 4, "'name' is given twice, first in"),
        ("package:\n\tname: x\n", 2, "broken YAML"),
        ("package: {name: x, version: 1\n", 2, "broken YAML"),
        ("package: &a\n  name: *b\n", 2, "undefined alias"),
        (HEAD + "environment: [a]\n", 4, "environment is a list"),
        (HEAD + "environment:\n  contents:\n    packages: a\n", 6, "packages is the text 'a'"),
        (HEAD + "environment:\n  contents:\n    packages: [a, '']\n", 6, "is empty"),
        (HEAD + "environment:\n  contents:\n    packages: ['a b']\n", 6, "'a b' is not a package"),
        (HEAD + "environment:\n  contents:\n    packages:\n    - {a: b}\n", 7, "is a mapping"),
        (HEAD + "pipeline:\n  - uses: strup\n", 5, "no pipeline 'strup'; did you mean strip"),
        (HEAD + "pipeline:\n  - uses: ../x\n", 5, "leads out of the directory"),
        (HEAD + "pipeline:\n  - uses: own/tool\n", 5, "has the pipeline with --pipeline-dir"),
        (
            HEAD + "pipeline:\n  - uses: strip\n    if: ${{package.name}} == 'x'\n",
            5,
            "a quoted string or a variable is expected at position 0 of \"x == 'x'\"; put quotes",
        ),
        (HEAD + "pipeline:\n  - text\n", 5, "a pipeline step is the text"),
        (HEAD + "subpackages:\n  - description: d\n", 5, "subpackage name is missing"),
        (HEAD + "subpackages:\n  - name: a\n    range: r\n", 6, "the range 'r' is not defined"),
        (
            HEAD + "  dependencies:\n    provides:\n      - ${{vars.v}}\n",
            6,
            "vars.v is not defined",
        ),
        (HEAD + "  dependencies:\n    provider-priority: high\n", 5, "'high' is not a number"),
        (
            HEAD + "var-transforms:\n  - {from: a, match: '(', to: b}\n",
            5,
            "not a regular expression",
        ),
        (HEAD + "? [complex]\n: value\n", 4, "a key is not a text"),
        (b"package:\n  name: \xff\xfe\n", 2, "not UTF-8"),
        (b"package:\n  name: x\x00\n", 2, "not UTF-8"),
    ],
)
def test_a_problem_names_line_and_remedy(text: str | bytes, line: int, what: str) -> None:
    found = problem(text)
    assert what in f"{found.what}; {found.fix}"
    assert found.line == line


def test_all_problems_of_a_file_at_once() -> None:
    _, problems = read("package:\n  name: ..\n  version: /\npipeline:\n  - uses: nope\n")
    assert [one.line for one in problems] == [2, 3, 5]


def test_a_broken_pipeline_is_named() -> None:
    found = problem(HEAD + "pipeline:\n  - uses: local\n", local="needs: [a\n")
    assert "pipelines/local.yaml:2: broken YAML" in found.what


def test_a_pipeline_that_uses_itself_is_refused() -> None:
    found = problem(HEAD + "pipeline:\n  - uses: local\n", local="pipeline: [{uses: local}]")
    assert "do they use themselves?" in found.what


def test_what_refers_to_itself_too_deeply_is_a_problem() -> None:
    chain = "".join(f", &a{n} {{<<: *a{n - 1}}}" for n in range(1, 1500))
    deep = problem(HEAD + f"m: [&a0 {{k: v}}{chain}]\nvars: *a1499\n")
    assert "too deeply" in deep.what


def test_too_many_steps_are_one_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("compile", "pipelines"):
        monkeypatch.setattr(f"dag.core.package.{module}.MAX_STEPS", 1000)
    data = "data: [{name: d, items: {" + ", ".join(f"k{n}: v" for n in range(20)) + "}}]\n"
    steps = "runs: x" + "}, {runs: x" * 99
    subpackage = "subpackages: [{range: d, name: 's${{range.key}}', pipeline: [{" + steps + "}]}]\n"
    assert "more than 1,000 subpackages" in problem(HEAD + data + subpackage).what
    flat = problem(HEAD + "pipeline:\n" + "  - uses: local\n" * 600, local="pipeline: [{runs: x}]")
    assert "with its pipelines the file has more than 1,000 steps" in flat.what


@pytest.mark.long
def test_a_definition_that_grows_without_bound_is_a_problem() -> None:
    layers = "".join(f"  - &l{n} {{pipeline: [{f'*l{n - 1}, ' * 9}]}}\n" for n in range(1, 9))
    _, problems = read(HEAD + "pipeline:\n  - &l0 {uses: strip}\n" + layers)
    assert "more than 100,000 steps" in problems[0].what
    deep = problem(HEAD + "pipeline: " + "[{pipeline: " * 400 + "[]" + "}]" * 400 + "\n")
    assert "nested deeper than 50" in deep.what
    assert problem(HEAD + "x: " + "[" * 100_000).what
    merges = "".join(
        f"m{n}: &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * 9)}]\n" for n in range(1, 20)
    )
    assert package(HEAD + "m0: &m0 {a: b}\n" + merges + "vars: {<<: *m19}\n").name == "x"
    assert "with itself" in problem(HEAD + "vars: &v {a: b, <<: *v}\n").what


def test_an_unknown_tag_is_no_problem() -> None:
    made = package(HEAD + "  target-architecture:\n    - x86_64\n    - !riscv64\n")
    assert made.builds_on("x86_64")
    assert not made.builds_on("aarch64")


@given(st.binary(max_size=200))
def test_no_bytes_make_an_exception(data: bytes) -> None:
    made, problems = read(data)
    assert made is None or not problems


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("[x86_64, aarch64]", None),
        ("[all]", None),
        ("[!riscv64 ]", None),
        ("[x86_64, arm64]", "has 'arm64', which melange does not know; write aarch64"),
        ("[noarch]", "has 'noarch', which melange does not know; write all"),
        ("[mips]", "has 'mips', which melange does not know; use names such as x86_64 and aarch64"),
    ],
)
def test_architectures_that_melange_does_not_know_are_told(listed: str, said: str | None) -> None:
    made = package(HEAD + f"  target-architecture: {listed}\n")
    told = [str(one) for one in made.warnings]
    assert told == ([f"x.yaml:4: target-architecture {said}"] if said else [])


@pytest.mark.parametrize(("name", "file"), [("pipelines", "x.yaml"), ("x", "pipelines.yaml")])
def test_the_name_of_the_local_pipelines_is_reserved(name: str, file: str) -> None:
    text = f"package:\n  description: d\n  name: {name}\n  version: 1\n"
    package, problems = compiled(text.encode(), file)
    assert package is None
    assert [(one.file, one.line) for one in problems] == [(file, 3)]
    assert problems[0].what.startswith("'pipelines' is reserved")
