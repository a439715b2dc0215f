"""A file of variables, compared with what melange makes of it.

None names another: their order is random there.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import event, given, settings
from hypothesis import strategies as st

from dag.core.arch import Arch
from dag.core.package.model import Package
from dag.errors import UsageError
from dag.io.package.definitions import read_directory
from dag.io.package.makefile import melange_flags
from tests.support.melange import answer

NAMES = ("one", "two", "from")
SCALARS = ("a", "1.10", "010", "true", "~", "null", '"b"', "-3", "''", "1e3", "0x1F", "2001-01-01")
variables = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(SCALARS), max_size=3)
text = st.one_of(
    variables.map(lambda found: "".join(f"{key}: {value}\n" for key, value in found.items())),
    st.sampled_from(
        ["{}", "", "# nothing\n", "[a]", "a", "one: [x]", "one: {x: y}", "one: a\none: b"]
    ),
    st.sampled_from(["one: a\n---\none: b\n", "one: &x a\ntwo: *x\n", "{one: a", "? one\n: b\n"]),
)
DEFINITION = """\
package:
  name: app
  version: "1${{vars.one}}"
  epoch: 0
  dependencies: {runtime: ["r-${{vars.two}}"]}
environment: {contents: {packages: ["p-${{vars.one}}-q", "p-${{vars.made}}-q"]}}
var-transforms: [{from: "${{vars.from}}", match: "[.x]", replace: "_", to: made}]
options: {other: {vars: {two: option}}}
pipeline: [{uses: x, with: {in: "${{vars.two}}"}}]
"""


@settings(max_examples=40)
@given(
    text,
    st.sampled_from(["vars: {one: own, two: own, from: x.y}\n", "vars: {}\n", ""]),
    st.booleans(),
)
def test_variables_are_what_melange_takes(given_text: str, own: str, option: bool) -> None:
    with TemporaryDirectory() as name:
        place = Path(name)
        (place / "pipelines").mkdir()
        (place / "pipelines/x.yaml").write_text(
            "inputs: {in: {}}\nneeds: {packages: ['n-${{inputs.in}}-n']}\npipeline: [{runs: 'true'}]\n"
        )
        (place / "app.yaml").write_text(DEFINITION + own)
        (place / "all.vars").write_text(given_text)
        more = " --build-option other" if option else ""
        (place / "Makefile").write_text(
            f"package/%:\n\t$(MELANGE) build $*.yaml --pipeline-dirs pipelines --vars-file all.vars{more}\n"
        )
        options = ["other"] if option else []
        theirs = answer(place / "app.yaml", options=options, flags=["--vars-file", "all.vars"])
        ours: Package | str
        try:
            flags = melange_flags(place, arch=Arch.parse("x86_64"))
            (ours,) = read_directory(place, arch="x86_64", flags=flags, cached=False).packages
        except UsageError as error:
            ours = error.message
    if isinstance(theirs, str) or isinstance(ours, str):
        event("refused")
        assert isinstance(theirs, str), ours
        assert isinstance(ours, str), theirs
        return
    event("taken")
    assert sorted({need.text for need in ours.environment}) == sorted(set(theirs["env"]))
    assert (ours.version, list(ours.runtime)) == (theirs["version"], theirs["runtime"])
