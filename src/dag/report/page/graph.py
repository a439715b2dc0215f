"""The page about a graph: one package with what is around it, and the way from one to another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from dag.core.graph import digraph
from dag.core.graph.sketch import Sketch
from dag.core.visible import visible
from dag.report.page.document import Node, document, node
from dag.report.words import count

_SCRIPTS = ("vendor/cytoscape.min.js", "vendor/dagre.min.js", "graph.js")
_RUN_TIME, _DROPPED = 1, 2


def graph_page(sketch: Sketch, states: Mapping[str, str], starts: Sequence[str]) -> str:
    """Return the page as one file; `states` of packages are shown, and it begins with `starts`."""
    words = count(len(sketch.packages), "package")
    body = [
        node("a", "Skip to the package", href="#about", class_="skip"),
        node(
            "header",
            node("h1", "Packages and what they need"),
            node(
                "p",
                f"{words}, {count(len(sketch.lines), 'edge')}. An arrow leads to what is needed.",
            ),
        ),
        node("main", _controls(), _legend(states), *_places(), class_="graph"),
    ]
    return document("dag graph", body, scripts=_SCRIPTS, data=_data(sketch, states, starts))


def _controls() -> Node:
    return node(
        "form",
        node(
            "label",
            "Package ",
            node("input", id="package", list="names", autocomplete="off", type="search"),
        ),
        node("datalist", id="names"),
        node("label", "Show ", _choice("direction", ("needs", "needed by", "both"), "needs")),
        node("label", "Depth ", _choice("depth", [str(number) for number in range(1, 9)], "1")),
        node(
            "label",
            "Way to ",
            node("input", id="goal", list="names", autocomplete="off", type="search"),
        ),
        _switch("runtime", "Needs at run time, too", checked=None),
        _switch("reduce", "Without edges that follow from others"),
        _switch("collapse", "Cycles as one"),
        node("button", "Fit", type="button", id="fit"),
        role="search",
    )


def _choice(name: str, values: Sequence[str], chosen: str) -> Node:
    options = [
        node("option", one, value=one, selected="" if one == chosen else None) for one in values
    ]
    return node("select", *options, id=name)


def _switch(name: str, words: str, *, checked: str | None = "") -> Node:
    return node("label", node("input", type="checkbox", id=name, checked=checked), f" {words}")


def _legend(states: Mapping[str, str]) -> Node:
    known = [node("span", state, class_=f"s {state}") for state in sorted(set(states.values()))]
    parts = [child for one in known for child in (" ", one)]
    return node(
        "p",
        "A solid line is a need of the build, a dotted one a need at run time of what is installed, "
        "a dashed one is left out of the order because it closes a cycle.",
        *([" The colours are those of the latest build:", *parts] if known else []),
        id="legend",
    )


def _places() -> tuple[Node, Node, Node]:
    return (
        node("p", id="said", role="status"),
        # What a mouse does here can be done with the lists below.
        node("div", id="picture", role="img", aria_label="The picture of what the lists say"),
        node("section", id="about", tabindex="-1"),
    )


def _data(sketch: Sketch, states: Mapping[str, str], starts: Sequence[str]) -> str:
    """Return the graph as numbers: a need is four times its goal, and its kind in the other bits."""
    names = [*(one.name for one in sketch.packages), *sketch.externals]
    number = {name: place for place, name in enumerate(names)}
    needs: list[list[int]] = [[] for _ in names]
    for line in sketch.lines:
        kind = _RUN_TIME * line.at_run_time + _DROPPED * line.dropped
        needs[number[line.start]].append(number[line.goal] * 4 + kind)
    components = digraph.components([[need // 4 for need in several] for several in needs])
    return json.dumps(
        {
            "names": [visible(name) for name in names],
            "versions": [visible(one.full_version) for one in sketch.packages],
            "states": [visible(states.get(name, "")) for name in names],
            "needs": needs,
            "components": components,
            "starts": [number[name] for name in starts if name in number],
        },
        separators=(",", ":"),
    )
