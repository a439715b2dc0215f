"""The page about a run: what is in it, and that nothing of a stranger's text is live."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from dag.core.build.result import Result, SecondBuild
from dag.report.page.run import RunPage, run_page
from tests.support.runs import made_run

EVIL = "</script></pre><script>alert(1)</script><img src=x onerror=y>\x1b[2J\u202e\"'&"


class Markup(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(result: Result, *, before: Result | None = None, alive: bool = False) -> str:
    logs = {unit.name: "the whole\nlog" for unit in result.units if unit.state == "failed"}
    return run_page(
        RunPage(
            result=result,
            began=1_787_000_000.0,
            written=1_787_000_060.0,
            is_alive=alive,
            store="there/packages",
            logs=logs,
            before=before,
        )
    )


def test_it_says_what_failed_what_that_blocked_and_where_the_log_is() -> None:
    text = Markup(page_of(made_run(20, failing=frozenset({2})))).text
    assert text.index("What failed") < text.index("Critical path") < text.index("Timeline")
    for words in (
        "p0002 1.2.3-r0: exit status 1",
        "x.c:1:10: fatal error: zlib.h: No such file or directory",
        "10 packages blocked by it.",
        "The end of its log, there/packages/.dag/runs/20260829-141200-123abc/x86_64/logs/p0002.log",
        "the whole\nlog",
        "in the store: 1 package",
        "The build ended at",
        "with the exit code 1.",
    ):
        assert words in text, words


def test_it_says_what_came_out_differently() -> None:
    result = made_run(3)
    first, *rest = result.units
    second = SecondBuild(state="done", cause="", differences=("p0000.apk: usr/x has another time",))
    page = page_of(replace(result, units=(replace(first, results=2, second=second), *rest)))
    text = Markup(page).text
    assert "p0000 1.2.3-r0 is not reproducible" in text
    assert "usr/x has another time" in text
    assert 'aria-label="What failed"' in page


def test_one_that_goes_on_says_so_and_one_that_was_killed_too() -> None:
    running = made_run(20, until=9.0)
    assert "still running when this page was written" in page_of(running, alive=True)
    assert "The build ended before its work was done" in page_of(running)


def test_every_unit_has_a_row_and_each_that_ran_a_bar() -> None:
    result = made_run(40, failing=frozenset({2}))
    elements = Markup(page_of(result)).elements
    rows = {found["id"] for tag, found in elements if tag == "tr" and "id" in found}
    assert rows == {f"unit-{unit.name}" for unit in result.units}
    drawn = {found["data-unit"] for tag, found in elements if tag == "rect"}
    assert drawn == {unit.name for unit in result.units if unit.started is not None}
    critical = {
        found["data-unit"] for _, found in elements if "critical" in str(found.get("class"))
    }
    assert critical == set(result.critical_path)


def test_what_a_unit_took_stands_beside_what_it_asked_for() -> None:
    page = page_of(made_run(9, failing=frozenset({8})))
    cells = {
        name: re.findall(r"<td class=\"n\"[^>]*>([^<]*)<", row)
        for name, row in re.findall(r"<tr [^>]*id=\"unit-(\w+)\">(.*?)</tr>", page, re.DOTALL)
    }
    assert cells["p0006"] == ["7.0s", "", "1", "0.43", "2 GiB", "6 MiB", "1"]
    assert cells["p0008"] == ["2.0s", "", "1", "", "2 GiB", "", "1"]


def test_it_stands_beside_the_run_before() -> None:
    before = made_run(20, failing=frozenset({12}), run="20260828-000000-000000")
    text = Markup(page_of(made_run(20, failing=frozenset({13}), pace=2.0), before=before)).text
    for words in (
        "Beside the run before, 20260828-000000-000000",
        "Failed now and not before (1): p0013",
        "Mended (1): p0012",
        "p0006 7.0s → 14s",
    ):
        assert words in text, words


def test_what_has_become_slower_is_counted_before_it_is_cut_and_only_if_it_can_be_seen() -> None:
    now, before = made_run(20, pace=2.0), made_run(20, run="20260828-000000-000000")
    text = Markup(page_of(now, before=before)).text
    counted = re.search(r"Slower \((\d+)\): .* and (\d+) more", text)
    assert counted is not None
    assert int(counted[1]) == int(counted[2]) + 10
    late = tuple(replace(one, ended=one.ended and one.ended + 0.001) for one in before.units)
    text = Markup(page_of(replace(before, units=late), before=before)).text
    assert "Slower" not in text
    assert "Faster" not in text


@pytest.mark.parametrize("place", ["name", "version", "cause", "because", "log", "lines", "store"])
def test_what_strangers_say_is_text_and_visible(place: str) -> None:
    result = made_run(8, failing=frozenset({2}))
    change = {"lines": (EVIL,)} if place == "lines" else {place: EVIL}
    harmless = Counter(tag for tag, _ in Markup(page_of(result)).elements)
    if place == "store":
        page = run_page(
            RunPage(result=result, began=0.0, written=0.0, is_alive=False, store=EVIL, logs={"p0002": EVIL})
        )  # fmt: skip
    else:
        units = tuple(
            replace(unit, **change) if unit.name == "p0002" else unit for unit in result.units
        )
        page = page_of(
            replace(result, units=units, unbuildable={EVIL: EVIL} if place == "name" else {})
        )
    markup = Markup(page)
    found = Counter(tag for tag, _ in markup.elements)
    assert found["script"] == harmless["script"]
    assert found["img"] == 0
    assert not [name for _, several in markup.elements for name in several if name.startswith("on")]
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert r"<script>alert(1)</script><img src=x onerror=y>\x1b[2J\u202e" in markup.text or (
        place == "name" and "<script>alert(1)" in markup.text
    )


def test_the_policy_forbids_everything_but_what_is_in_the_page() -> None:
    elements = Markup(page_of(made_run(3))).elements
    (policy,) = (
        str(found["content"]) for tag, found in elements
        if found.get("http-equiv") == "Content-Security-Policy"
    )  # fmt: skip
    rules = {
        name: rest for name, _, rest in (rule.strip().partition(" ") for rule in policy.split(";"))
    }
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].startswith("'sha256-")
    assert "unsafe" not in policy
    assert not [found for _, found in elements if {"style", "src"} & found.keys()]
