"""Packages that are not built any more with what a changed definition made."""

from __future__ import annotations

from dag.core.graph.affected import find_affected
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import IndexEntry, PackageRepository
from tests.core.graph.test_graph import package, repository


def test_what_a_repository_has_may_lose_a_definition() -> None:
    listed = [
        IndexEntry("carrier", "1-r0", "carrier", ("old<2",), ()),
        IndexEntry("old", "1-r0", "old", (), ()),
    ]
    made = [package("old", version="2"), package("user", "carrier")]
    before = {"old.yaml": package("old")}
    for graph in (
        Graph(made, repository=PackageRepository(listed)),
        Graph(made, own={"user": PackageRepository(listed)}),
    ):
        found = find_affected(graph, ["old.yaml"], [], before)
        assert found.reasons == {"old": ["old.yaml"], "user": ["old.yaml"]}


def test_what_a_repository_gave_before_is_no_loss() -> None:
    made = [package("lib", version="2"), package("user", "lib")]
    graph = Graph(made, repository=repository("lib", "9-r0"))
    before = {"lib.yaml": package("lib")}
    assert find_affected(graph, ["lib.yaml"], [], before).reasons == {"lib": ["lib.yaml"]}
