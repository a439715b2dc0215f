"""The page about a graph: its numbers, and names that would be markup."""

from __future__ import annotations

import json
import re

from dag.core.graph.sketch import Line, Sketch
from dag.report.page.graph import graph_page
from tests.core.graph.test_graph import package

EVIL = "</script><script>alert(1)</script>\x1b[2J"


def data(page: str) -> dict[str, list[object]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    read = json.loads(found[1])
    assert isinstance(read, dict)
    return read


def test_the_graph_is_in_it_as_numbers() -> None:
    sketch = Sketch(
        packages=(package("a", version="1"), package("b"), package("c")),
        externals=("out",),
        lines=(
            Line("a", "b"),
            Line("a", "out"),
            Line("b", "c", at_run_time=True),
            Line("c", "b", dropped=True),
        ),
    )
    found = data(graph_page(sketch, {"b": "failed"}, ["c"]))
    assert found["names"] == ["a", "b", "c", "out"]
    assert found["states"] == ["", "failed", "", ""]
    assert found["needs"] == [[4, 12], [9], [6], []]
    assert found["components"] == [[1, 2]]
    assert found["starts"] == [2]


def test_a_name_is_no_markup() -> None:
    sketch = Sketch(packages=(package("a"),), externals=(EVIL,), lines=(Line("a", EVIL),))
    page = graph_page(sketch, {"a": EVIL}, ["a"])
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert data(page)["names"][1] == EVIL.replace("\x1b", "\\x1b")
