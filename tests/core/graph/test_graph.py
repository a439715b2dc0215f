from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dag.core.graph import digraph, feedback
from dag.core.graph.graph import Graph
from dag.core.graph.installs import Way
from dag.core.graph.remarks import find_choices, find_offers, find_refusals
from dag.core.graph.weights import Weights
from dag.core.package.apkindex import Entry, PackageRepository
from dag.core.package.model import BrokenDefinition, Need, Package, Subpackage, bare_name
from dag.core.package.problems import FileProblem
from dag.errors import UsageError


def package(
    name: str,
    *needs: str,
    subpackages: Iterable[str] = (),
    provides: Iterable[str] = (),
    version: str = "1",
    priority: int = 0,
    reason: str = "environment",
    runtime: Iterable[str] = (),
) -> Package:
    file = f"{name}.yaml"
    return Package(
        name=name,
        version=version,
        epoch=0,
        file=file,
        line=2,
        environment=tuple(Need(need, file, 10 + n, reason) for n, need in enumerate(needs)),
        subpackages=tuple(
            Subpackage(one, file, 50 + n, tuple(runtime)) for n, one in enumerate(subpackages)
        ),
        runtime=tuple(runtime),
        provides=tuple(provides),
        provider_priority=priority,
    )


def repository(name: str, version: str = "0-r0") -> PackageRepository:
    return PackageRepository([Entry(name, version, name, (), ())])


def names(packages: Iterable[Package]) -> list[str]:
    return [one.name for one in packages]


@st.composite
def graphs(draw: st.DrawFn) -> Mapping[str, list[str]]:
    size = draw(st.integers(1, 12))
    nodes = [f"p{number:02}" for number in range(size)]
    return {node: draw(st.lists(st.sampled_from(nodes), max_size=4, unique=True)) for node in nodes}


def build(needs: Mapping[str, list[str]], shuffle: random.Random | None = None) -> Graph:
    packages = [package(name, *targets) for name, targets in needs.items()]
    if shuffle:
        shuffle.shuffle(packages)
    return Graph(packages)


def test_dependencies_come_first_and_ties_go_by_name() -> None:
    graph = build({"a": ["z"], "b": [], "c": ["b", "x"], "x": [], "z": []})
    assert names(graph.order()) == ["b", "x", "c", "z", "a"]
    assert [graph.level(name) for name in "abcxz"] == [1, 0, 1, 0, 0]


def test_a_subpackage_or_provided_name_stands_for_its_origin() -> None:
    graph = Graph(
        [
            package("lib", subpackages=["lib-dev"], provides=["so:lib.so=1"]),
            package("app", "lib-dev>=1", "so:lib.so"),
        ]
    )
    assert names(graph.closure(["app"])) == ["lib", "app"]
    assert names(graph.closure(["lib-dev", "so:lib.so"])) == ["lib"]
    assert [edge.origin for edge in graph.needs("app")] == ["lib", "lib"]
    assert [edge.reason_class for edge in graph.needs("app")] == ["environment", "provider"]


def test_the_provider_with_the_highest_priority_then_version_then_name() -> None:
    def chosen(*providers: Package) -> str:
        graph = Graph([*providers, package("user", "virtual")])
        (taken,) = find_choices(graph, {"user"})
        assert {taken.chosen, *taken.others} == {f"{one.name}-1-r0" for one in providers}
        (edge,) = graph.needs("user")
        assert (edge.provider, taken.chosen) == (edge.origin, f"{edge.origin}-1-r0")
        reasons.append(taken.why)
        return edge.origin

    reasons: list[str] = []

    assert (
        chosen(package("a", provides=["virtual=9"]), package("b", provides=["virtual"], priority=1))
        == "b"
    )
    assert (
        chosen(package("a", provides=["virtual=1.9"]), package("b", provides=["virtual=1.10"]))
        == "b"
    )
    assert chosen(package("a", provides=["virtual=1"]), package("b", provides=["virtual=1"])) == "a"
    assert reasons == [
        "its provider-priority is higher",
        "its version of that name is higher",
        "all else is equal and its name comes first",
    ]


def test_the_version_of_a_name_goes_before_the_package_that_has_the_name() -> None:
    graph = Graph(
        [package("real"), package("other", provides=["real=99"]), package("user", "real")]
    )
    # Whoever names a package means that one; a need means what apko takes.
    assert names(graph.closure(["real"])) == ["real"]
    assert names(graph.closure(["user"])) == ["other", "user"]
    assert find_choices(graph, {"real", "other"}) == []


def test_a_constraint_is_part_of_the_choice() -> None:
    graph = Graph(
        [
            package("rt-1", provides=["rt=1.9"]),
            package("rt-2", provides=["rt=2.3"], version="2.3"),
            package("old", "rt<2"),
            package("new", "rt"),
            package("both", "rt", "rt<2"),
        ]
    )
    assert names(graph.closure(["old"])) == ["rt-1", "old"]
    assert names(graph.closure(["new"])) == ["rt-2", "new"]
    assert [edge.origin for edge in graph.needs("both")] == ["rt-2", "rt-1"]
    assert graph.provider("rt<2") == "rt-1"


def test_a_chain_of_compilers_is_no_cycle() -> None:
    chain = [
        package(f"comp-{n}", *[f"comp~{n - 1}"][: n - 1], provides=[f"comp={n}.0"])
        for n in (1, 2, 3)
    ]
    graph = Graph(chain)
    assert names(graph.order()) == ["comp-1", "comp-2", "comp-3"]
    assert graph.components() == []
    assert graph.dropped_edges == ()


def test_a_constraint_that_nothing_satisfies_is_external_and_said_with_what_there_is() -> None:
    graph = Graph([package("app", "asm<3"), package("asm", version="3.0.1")])
    (edge,) = graph.needs("app")
    assert (edge.origin, edge.is_ours) == ("asm<3", False)
    assert names(graph.closure(["app"])) == ["app"]
    assert graph.missing({"app"}) == {"asm<3": ["app"]}
    assert find_offers(graph, "asm<3") == ("asm-3.0.1-r0",)
    assert graph.needs_by_text("app") == {"asm<3": None}
    assert graph.installed("app") is None
    assert find_refusals(graph, {"app"}) == []
    # A repository may have the older one.
    old = Graph(graph.packages, repository=repository("asm", "2-r0"))
    assert old.missing({"app"}) == {}
    assert names(old.closure(["app"])) == ["app"]
    assert old.needs_by_text("app") == {}


def test_giving_up_is_told_with_the_need_and_what_there_is() -> None:
    graph = Graph(
        [package("app", "lib"), package("lib", runtime=["asm<3"]), package("asm", version="3.0.1")]
    )
    (refusal,) = find_refusals(graph, {"app", "lib"})
    assert (refusal.package, refusal.gave_up.constraint) == ("app", "asm<3")
    assert (refusal.by, refusal.there) == (("lib-1-r0",), ("asm-3.0.1-r0",))
    assert graph.installed("app") is None
    assert names(graph.closure(["app"])) == ["lib", "app"]
    conflict = Graph([package("app", "lib", "!lib"), package("lib")])
    (refusal,) = find_refusals(conflict, {"app"})
    assert refusal.gave_up.constraint == "lib"


def test_what_an_installed_package_needs_at_run_time_is_needed() -> None:
    graph = Graph(
        [
            package("app", "lib-dev"),
            package("lib", subpackages=["lib-dev"], runtime=["zstuff"]),
            package("zstuff"),
        ]
    )
    assert names(graph.closure(["app"])) == ["lib", "zstuff", "app"]
    assert names(graph.dependents(["zstuff"])) == ["zstuff", "app"]
    (edge,) = graph.path("app", "zstuff") or []
    assert (edge.through, edge.kind) == (("lib-dev", "zstuff"), "run time")
    assert graph.path("lib", "zstuff") is None
    assert graph.installed("app") == ["lib", "zstuff"]
    assert [edge.origin for edge in graph.runtime_needs("app")] == ["zstuff"]


def test_what_apko_takes_because_of_another_need_is_what_is_needed() -> None:
    graph = Graph(
        [
            package("app", "x", "y"),
            package("a", provides=["virtual=1"]),
            package("b", provides=["virtual=2"]),
            package("x", runtime=["a"]),
            package("y", runtime=["virtual"]),
            package("plain", "y"),
        ]
    )
    # b goes before a, unless a is there already.
    assert graph.installed("plain") == ["b", "y"]
    assert graph.installed("app") == ["a", "x", "y"]
    assert names(graph.closure(["app"])) == ["a", "x", "y", "app"]
    assert graph.path("app", "b") is None
    assert graph.settled("app") == ["a=1-r0", "x=1-r0", "y=1-r0"]
    assert graph.settled("plain") == []


def test_packages_that_need_each_other_at_run_time_are_no_cycle() -> None:
    graph = Graph([package("a", runtime=["b"]), package("b", runtime=["a"]), package("c", "a")])
    assert graph.dropped_edges == ()
    assert names(graph.order()) == ["a", "b", "c"]
    # Through a build it is one.
    closed = Graph([package("a", "c", runtime=["b"]), package("b"), package("c", "a")])
    (component,) = closed.components()
    assert names(component.packages) == ["a", "c"]
    selfish = Graph([package("a", "b"), package("b", runtime=["a"])])
    (loop,) = selfish.self_loops()
    assert loop.through == ("b", "a")
    assert names(selfish.order()) == ["b", "a"]


def test_what_a_repository_has_need_not_be_built_nor_what_only_that_needs() -> None:
    graph = Graph(
        [package("app", "lib"), package("lib", runtime=["more"]), package("more"), package("rest")]
    )
    assert names(graph.closure(["app"])) == ["lib", "more", "app"]
    assert names(graph.closure(["app"], {"lib"})) == ["app"]
    assert names(graph.closure(["app", "lib"], {"lib"})) == ["lib", "more", "app"]
    assert names(graph.closure(["app"], {"more"})) == ["lib", "app"]


def test_conflicts_are_no_needs_and_unknown_names_are_external() -> None:
    graph = Graph([package("a", "!b", "elsewhere~2", "b"), package("b")])
    assert [edge.need.name for edge in graph.needs("a")] == ["elsewhere", "b"]
    assert graph.missing({"a"}) == {"elsewhere": ["a"]}
    assert graph.missing({"b"}) == {}
    assert (
        Graph([package("a", "elsewhere")], repository=repository("elsewhere")).missing({"a"}) == {}
    )


@pytest.mark.parametrize(
    "text", ["foo=1.2", "foo~1", "foo>3", "foo>=3", "foo@edge", "foo", " foo <2"]
)
def test_the_constraint_is_cut_off(text: str) -> None:
    assert bare_name(text) == "foo"


def test_an_unknown_name_is_refused_with_the_closest() -> None:
    graph = build({"brotli": [], "zlib": []})
    for ask in (graph.closure, graph.order, graph.dependents):
        with pytest.raises(UsageError, match='package "brotly" not found in graph') as caught:
            ask(["zlib", "brotly"])
        assert caught.value.hint == "did you mean brotli?"
    with pytest.raises(UsageError) as caught:
        graph.closure(["zlip", "brotli", "brotly"])
    assert str(caught.value).splitlines() == [
        'package "zlip" not found in graph',
        'package "brotly" not found in graph',
    ]
    assert (
        caught.value.hint
        == "did you mean zlib instead of zlip? did you mean brotli instead of brotly?"
    )


@pytest.mark.parametrize(("version", "giver"), [("2", "b"), ("0", "a"), ("1", "b")])
def test_of_two_packages_of_one_name_the_higher_version_counts_then_the_later_file(
    version: str, giver: str
) -> None:
    both = [package("a", subpackages=["x"]), package("b", subpackages=["x"], version=version)]
    for packages in (both, both[::-1]):
        graph = Graph([*packages, package("user", "x")])
        assert [edge.origin for edge in graph.needs("user")] == [giver]
        assert names(graph.closure(["user"])) == [giver, "user"]


def test_a_definition_keeps_its_name_where_another_ones_subpackage_counts() -> None:
    graph = Graph([package("a", "z"), package("b", subpackages=["a"], version="2"), package("z")])
    assert [edge.origin for edge in graph.needs("a")] == ["z"]
    assert names(graph.closure(["a"])) == ["z", "a"]
    assert names(graph.order()) == ["b", "z", "a"]


def broken(name: str, *more: str) -> BrokenDefinition:
    problem = FileProblem(f"{name}.yaml", 3, "it is broken", "mend it")
    return BrokenDefinition(f"{name}.yaml", (name, *more), (problem,))


def test_what_needs_a_broken_definition_is_stopped_and_so_is_what_needs_that() -> None:
    packages = [
        package("a", "b"),
        package("b", "bad-dev>1", "gone"),
        package("c"),
        package("d", "c"),
    ]
    graph = Graph(packages, broken=[broken("bad", "bad-dev")])
    assert graph.stopped() == {"a", "b"}
    assert graph.stopped(there=["b"]) == frozenset()
    assert str(graph.broken_needs["b"]) == (
        "b needs bad-dev at b.yaml:10, but the definition of that cannot be used: bad.yaml:3"
    )
    assert graph.externals == {"gone": ["b"]}
    assert names(graph.closure(["d"])) == ["c", "d"]
    assert names(graph.closure(["a"], ["b"])) == ["a"]
    with pytest.raises(UsageError, match=r"b needs bad-dev at b\.yaml:10"):
        graph.closure(["a"])
    for asked in ("bad-dev", "bad", "bad.yaml"):
        with pytest.raises(UsageError, match=f"definition of {asked} cannot be used: bad.yaml:3"):
            graph.closure([asked])


def test_what_something_else_gives_is_not_stopped_by_a_broken_definition() -> None:
    packages = [package("a", "x"), package("b", "y"), package("sound", provides=["x=1"])]
    graph = Graph(packages, broken=[broken("bad", "x", "y")], repository=repository("y"))
    assert graph.stopped() == frozenset()


@pytest.mark.parametrize(
    "word",
    [
        *("lib.yaml", "./lib.yaml", "package/lib", "packages/lib", "lib-1-r0.apk"),
        *("packages/x86_64/lib-1-r0.apk", "packages/x86_64/lib-dev-1-r0.apk"),
    ],
)
def test_paths_that_stand_for_a_package_are_taken_for_it(word: str) -> None:
    graph = Graph([package("lib", subpackages=["lib-dev"]), package("app")], arch="x86_64")
    assert names(graph.closure([word])) == ["lib"]


@pytest.mark.parametrize(
    "word",
    ["other/lib.yaml", "packages/aarch64/lib-1-r0.apk", "packages/x86_64/lib-2-r0.apk", "lib.yml"],
)
def test_paths_of_something_else_are_not(word: str) -> None:
    graph = Graph([package("lib")], arch="x86_64")
    with pytest.raises(UsageError, match="not found in graph") as caught:
        graph.closure([word])
    assert caught.value.hint == "did you mean lib?"


def test_a_file_of_another_name_stands_for_its_package() -> None:
    odd = replace(package("myapp"), file="melange.yaml")
    graph = Graph([odd, package("other")])
    for word in ("melange.yaml", "package/melange", "package/myapp", "myapp"):
        assert names(graph.closure([word])) == ["myapp"]


def test_self_loops_are_dropped_and_told() -> None:
    graph = Graph([package("a", "a-dev", subpackages=["a-dev"]), package("b", "a")])
    assert [edge.where for edge in graph.self_loops()] == ["a.yaml:10"]
    assert names(graph.order()) == ["a", "b"]
    assert [(edge.package, edge.origin) for edge in graph.dropped_edges] == [("a", "a")]
    assert [edge.origin for edge in graph.path("a", "a") or []] == ["a"]


def test_the_edge_that_closes_a_cycle_is_dropped_as_the_original_did_by_name() -> None:
    graph = build({"a": ["b"], "b": ["c"], "c": ["a"]})
    assert [(edge.package, edge.origin, edge.where) for edge in graph.dropped_edges] == [
        ("c", "a", "c.yaml:10")
    ]
    assert names(graph.order()) == ["c", "b", "a"]


def test_what_a_repository_has_is_dropped_first() -> None:
    packages = [package("a", "b"), package("b", "c"), package("c", "a")]
    graph = Graph(packages, repository=repository("b"))
    assert [(edge.package, edge.origin) for edge in graph.dropped_edges] == [("a", "b")]


def test_what_the_original_left_out_is_dropped_before_what_it_had() -> None:
    first = package("a", "b", reason="subpackage a-dev uses split/dev")
    graph = Graph([first, package("b", "a")])
    assert [(edge.package, edge.origin) for edge in graph.dropped_edges] == [("a", "b")]


def test_a_component_shows_its_shortest_cycles_and_what_opens_it() -> None:
    graph = build(
        {"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["b"], "e": ["a"], "f": ["g"], "g": ["f"]}
    )
    first, second = graph.components()
    assert names(first.packages) == ["a", "b", "c", "d"]
    assert [[edge.package for edge in cycle] for cycle in first.cycles] == [["a", "b"]]
    assert first.bootstrap == ("b",)
    assert names(second.packages) == ["f", "g"]


@given(graphs(), st.randoms(use_true_random=False))
def test_file_order_plays_no_part(needs: Mapping[str, list[str]], shuffle: random.Random) -> None:
    one, other = build(needs), build(needs, shuffle)
    assert names(one.order()) == names(other.order())
    assert one.dropped_edges == other.dropped_edges
    assert one.components() == other.components()


@given(graphs())
def test_the_order_respects_every_edge_that_is_not_dropped(needs: Mapping[str, list[str]]) -> None:
    graph = build(needs)
    position = {name: place for place, name in enumerate(names(graph.order()))}
    dropped = {(edge.package, edge.origin) for edge in graph.dropped_edges}
    assert position.keys() == needs.keys()
    for name, targets in needs.items():
        for target in targets:
            assert (name, target) in dropped or position[target] < position[name]


@given(graphs())
def test_each_dropped_edge_would_close_a_cycle(needs: Mapping[str, list[str]]) -> None:
    graph = build(needs)
    dropped = {(edge.package, edge.origin) for edge in graph.dropped_edges}
    kept = {n: [t for t in targets if (n, t) not in dropped] for n, targets in needs.items()}
    for name, target in dropped:
        again = {**kept, name: [*kept[name], target]}
        assert build(again).dropped_edges


@given(graphs(), st.data())
def test_closure_dependents_and_path_agree(
    needs: Mapping[str, list[str]], data: st.DataObject
) -> None:
    graph = build(needs)
    a, b = (data.draw(st.sampled_from(sorted(needs))) for _ in range(2))
    assert (b in names(graph.closure([a]))) == (a in names(graph.dependents([b])))
    way = graph.path(a, b)
    if a != b:
        assert (way is not None) == (b in names(graph.closure([a])))
    if way:
        assert (way[0].package, way[-1].origin) == (a, b)
        for edge, following in pairwise(way):
            assert edge.origin == following.package
        assert all(edge.origin in needs[edge.package] for edge in way)
    chosen = names(graph.closure([a]))
    assert chosen == [name for name in names(graph.order()) if name in set(chosen)]


@given(graphs())
def test_components_are_mutual_reachability(needs: Mapping[str, list[str]]) -> None:
    order = sorted(needs)
    successors = [[order.index(target) for target in needs[name]] for name in order]
    reach = [digraph.reachable(successors, [node]) for node in range(len(order))]
    expected = {
        frozenset(b for b in range(len(order)) if b in reach[a] and a in reach[b])
        for a in range(len(order))
    }
    assert {frozenset(one) for one in digraph.components(successors)} == {
        one for one in expected if len(one) > 1
    }


@given(graphs())
def test_both_ways_to_open_cycles_open_them(needs: Mapping[str, list[str]]) -> None:
    order = sorted(needs)
    successors = [
        [order.index(target) for target in needs[name] if target != name] for name in order
    ]
    for members in digraph.components(successors):
        for choose in (feedback.edges, feedback.heuristic_edges):
            dropped = set(choose(members, successors, lambda a, b: 1 + (a + b) % 3))
            rest = [
                [target for target in targets if (node, target) not in dropped]
                for node, targets in enumerate(successors)
            ]
            assert not any(set(one) <= set(members) for one in digraph.components(rest))
        chosen = set(feedback.nodes(members, successors))
        rest = [
            [] if node in chosen else [target for target in targets if target not in chosen]
            for node, targets in enumerate(successors)
        ]
        assert not any(set(one) <= set(members) for one in digraph.components(rest))
        assert chosen < set(members)


def test_a_large_component_is_opened_in_linear_time() -> None:
    shuffle = random.Random(1)
    size = feedback.CLOSING + 500
    successors = [
        sorted({(node + 1) % size, *(shuffle.randrange(size) for _ in range(5))} - {node})
        for node in range(size)
    ]
    (members,) = digraph.components(successors)
    dropped = frozenset(feedback.edges(members, successors, lambda _a, _b: 1))
    order, _ = digraph.topological(successors, digraph.reverse(successors), dropped)
    assert len(order) == size


def test_a_chain_as_long_as_no_recursion_could_go() -> None:
    size = 20_000
    graph = build({f"p{n:05}": [f"p{n + 1:05}"] if n + 1 < size else [] for n in range(size)})
    assert graph.order()[0].name == f"p{size - 1:05}"
    assert graph.level("p00000") == size - 1


def test_a_hub_that_needs_all_its_users_takes_time_by_its_edges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 3000
    names = [f"p{number:04}" for number in range(size)]
    graph = Graph([package(names[0], *names[1:]), *(package(one, names[0]) for one in names[1:])])
    weighed = 0
    real = Weights._weight

    def counted(self: Weights, way: Way) -> int:
        nonlocal weighed
        weighed += 1
        return real(self, way)

    monkeypatch.setattr(Weights, "_weight", counted)
    (component,) = graph.components()
    assert len(component.dropped) == size - 1
    assert weighed < 20 * size
