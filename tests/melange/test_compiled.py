"""Every definition of today's distribution resolves to what melange itself answered."""

from __future__ import annotations

from collections import Counter

import pytest

from dag.core.arch import Arch
from dag.core.build.known import Known
from dag.core.build.plan import BuildRequest, make_plan
from dag.core.graph.graph import Graph
from dag.core.package.model import Package
from dag.io.package.definitions import read
from tests.support.distributions import TODAY, as_melange_says, compiled, in_order, unpacked

pytestmark = pytest.mark.xdist_group("compiled")  # what is shared is made in one process


@pytest.fixture(scope="module")
def packages() -> dict[str, Package]:
    return {package.file: package for package in read(unpacked(TODAY), arch="x86_64")}


def test_all_answers_of_melange_are_ours(packages: dict[str, Package]) -> None:
    answers = compiled()
    assert len(packages) == len(answers) == 3401
    differences = {
        file: (as_melange_says(packages[file]), in_order(answer))
        for file, answer in answers.items()
        if "error" not in answer and as_melange_says(packages[file]) != in_order(answer)
    }
    assert not differences


def test_what_melange_skips_for_this_arch_is_known(packages: dict[str, Package]) -> None:
    skipped = {file for file, answer in compiled().items() if "skip" in answer.get("error", "")}
    assert {one.file for one in packages.values() if not one.builds_on("x86_64")} == skipped


def test_every_need_and_source_has_a_line_in_its_file(packages: dict[str, Package]) -> None:
    root = unpacked(TODAY)
    for package in packages.values():
        lines = (root / package.file).read_text().splitlines()
        assert "name" in lines[package.line - 1]
        for need in package.environment:
            line = lines[need.line - 1]
            if need.reason == "environment":
                assert line.lstrip().startswith("- "), (need, line)
            elif "uses " in need.reason:
                assert "uses" in line, (need, line)
        for source in package.sources:
            assert "uses" in lines[source.line - 1], source


def test_the_kinds_of_needs(packages: dict[str, Package]) -> None:
    kinds = Counter(need.kind for package in packages.values() for need in package.environment)
    assert kinds.keys() == {"environment", "pipeline", "nested pipeline", "subpackage pipeline"}


def test_the_components_of_today(packages: dict[str, Package]) -> None:
    graph = Graph(packages.values(), arch="x86_64")
    assert [len(one.packages) for one in graph.components()] == [444, 18, 3, 2]
    assert len(graph.self_loops()) == 101
    assert len(graph.closure(["brotli"])) == 444
    # Most of these need themselves because something that they install does.
    assert sum(not edge.through for edge in graph.self_loops()) == 31


def test_a_build_is_stuck_where_the_graph_has_cycles(packages: dict[str, Package]) -> None:
    arch = Arch.parse("x86_64")
    graph = Graph(packages.values(), arch=arch.apk)
    plan = make_plan(graph, arch, BuildRequest(), Known())
    components = {tuple(sorted(one.name for one in c.packages)) for c in graph.components()}
    alone = {(edge.package,) for edge in graph.self_loops()}
    inside = {name for names in components for name in names}
    assert {one.packages for one in plan.stuck} == components | {
        names for names in alone if names[0] not in inside
    }
